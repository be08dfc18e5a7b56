"""Names in a configuration: component ids (`type/name`) and pipeline ids (`signal/name`), by the OpenTelemetry Collector's rules."""

from __future__ import annotations

import re
from typing import NamedTuple
from unicodedata import category

from openfuse_collector.component import ComponentID
from openfuse_collector.config.nodes import nearest
from openfuse_collector.signals import Signal

_TYPE = re.compile(r"[a-zA-Z][0-9a-zA-Z_]{0,62}")
_MAX_NAME = 1024


class PipelineID(NamedTuple):
    """`signal` or `signal/name`."""

    signal: Signal
    name: str = ""

    def __str__(self) -> str:
        return f"{self.signal}/{self.name}" if self.name else str(self.signal)


def parse_component_id(text: str, shown: str = "") -> ComponentID:
    """The id a user wrote. Raises ValueError, which quotes it, or what is `shown` instead of it."""
    kind, name = _halves(text, shown)
    if not _TYPE.fullmatch(kind):
        raise ValueError(
            f'"{shown or kind}" is not a component type: letters, digits and _, a letter first, at most 63'
        )
    return ComponentID(kind, name)


def parse_pipeline_id(text: str, shown: str = "") -> PipelineID:
    """The same for a pipeline."""
    signal, name = _halves(text, shown)
    if signal not in list(Signal):
        valid = ", ".join(Signal)
        raise ValueError(f'unknown signal "{shown or signal}" (valid values: [{valid}]){nearest(signal, list(Signal))}')
    return PipelineID(Signal(signal), name)


def _halves(text: str, shown: str) -> tuple[str, str]:
    first, slash, name = (part.strip() for part in text.partition("/"))
    if not first or (slash and not name):
        raise ValueError(f'"{shown or text}" is not an id: the part {"behind" if first else "before"} the / is empty')
    if len(name) > _MAX_NAME or any(category(character)[0] in "ZCS" for character in name):
        raise ValueError(
            f"the name in {shown or text!a:.80} is too long or has spaces, control characters or symbols in it"
        )
    return first, name
