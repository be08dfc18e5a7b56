"""How one value of a configuration becomes a scalar of a config type: a table, type -> reader of nodes."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Callable
from typing import Any

from openfuse_collector.component import ComponentID
from openfuse_collector.config.ids import PipelineID, parse_component_id, parse_pipeline_id
from openfuse_collector.config.nodes import Node
from openfuse_collector.config.types import Address, Duration, Secret, Size

Reader = Callable[[Node], Any]
"""Raises ValueError with a sentence for the user."""

_SWITCHES = {"yes": True, "on": True, "no": False, "off": False}
_EXPONENT = re.compile(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+")


def read_text(node: Node) -> str:
    """The text as written, whatever YAML would make of it: a string field set to 0123 holds `0123`."""
    if node.text is None:
        raise ValueError(f"expected text, got {node.shape}")
    return node.text


def _bool(node: Node) -> bool:
    value = _SWITCHES.get(node.value.lower()) if isinstance(node.value, str) else node.value
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {node.shape}")
    return value


def _int(node: Node) -> int:
    if not isinstance(node.value, int) or isinstance(node.value, bool):
        raise ValueError(f"expected a whole number, got {node.shape}{_unquote(node)}")
    return node.value


def _float(node: Node) -> float:
    value: Any = node.value
    if isinstance(value, str) and _EXPONENT.fullmatch(value):  # YAML 1.1 takes 1e3 for text
        return float(value)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"expected a number, got {node.shape}{_unquote(node)}")
    return float(value)


def _unquote(node: Node) -> str:
    return ": take away the quotes" if isinstance(node.value, str) and node.value.lstrip("+-").isdigit() else ""


def _parsed(parse: Callable[[str, str], Any]) -> Reader:
    return lambda node: parse(read_text(node).strip(), node.reference or "")


SCALARS: dict[Any, Reader] = {
    str: read_text,
    bool: _bool,
    int: _int,
    float: _float,
    Secret: lambda node: Secret(read_text(node)),
    Duration: _parsed(Duration.parse),
    Size: _parsed(Size.parse),
    Address: _parsed(Address.parse),
    ComponentID: _parsed(parse_component_id),
    PipelineID: _parsed(parse_pipeline_id),
    pathlib.Path: lambda node: pathlib.Path(read_text(node)),
}

TEXTUAL = frozenset({str, Secret})
"""Types for which an empty variable is a value, not nothing: set but empty is set, as in the OpenTelemetry Collector."""
