"""What decoding gives, whatever the encoding and the signal were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from openfuse_collector.pdata.forms import Form

NOTHING: Mapping[str, int] = {}


class Decoded(NamedTuple):
    """An export, and what had to be done to it."""

    request: Any
    """ExportTraceServiceRequest or ExportLogsServiceRequest."""
    payload: bytes | None
    """Protobuf bytes of exactly this request; None when it has to be serialised first."""
    rejected: Mapping[str, int] = NOTHING
    """Reason -> spans or log records left out because they could not be decoded."""
    repaired: int = 0
    """Strings in which invalid Unicode became U+FFFD."""
    notes: Mapping[str, int] = NOTHING
    """Sentence for the sender -> how often: what was understood in another way than it was written."""


class NeedsRepairError(Exception):
    """A strict parser refuses the body. What reads it all the same may take long: not on the event loop."""


Decode = Callable[[bytes, Form], Decoded]
"""Reads one encoding. Raises BadDataError."""
