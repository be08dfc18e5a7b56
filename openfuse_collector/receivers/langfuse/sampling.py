"""Which traces of a project are kept, told by their id alone: the same answer on every collector and every resend."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any


def trace_id_of(event_type: str, body: Mapping[str, Any]) -> str | None:
    """The trace an event belongs to, as its sender says; None when it belongs to none."""
    trace_id = body.get("id" if event_type == "trace-create" else "traceId")
    return trace_id or None


def is_kept(trace_id: str | None, rate: float) -> bool:
    """Whether a trace is in the sample, by Langfuse's formula. What belongs to no trace is."""
    if trace_id is None:
        return True
    return int(sha256(trace_id.encode("utf-8", "replace")).hexdigest()[:8], 16) / 0xFFFFFFFF < rate
