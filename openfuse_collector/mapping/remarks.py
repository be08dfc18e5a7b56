"""What a span says of the observation above it: that the call they both describe is counted below.

Some clients of model providers write spans of their own, below whatever span an instrumentation of them has opened for the same call.
Both state the usage, and nothing in the upper one tells that there is a lower. So the lower one remarks on the upper: an update that
marks it as a repetition. A remark alone makes no observation, because the span above may well be one that nobody exports.
"""

from __future__ import annotations

from openfuse_collector.enrich.repeated import BELOW, REPEATED
from openfuse_collector.mapping.common import Body
from openfuse_collector.mapping.span_view import SpanView

UPDATE = "observation-update"
"""Event type of an update that leaves the observation's type to its span."""

_CLIENTS = ("com.anthropic.sdk.",)
"""Beginnings of the scopes of such clients: the Anthropic SDK, in Python since 2."""


def remark_of(span: SpanView, observation: Body) -> Body | None:
    """The body of the update of the observation above, None when the span has nothing to say of it."""
    if not span.parent_id or not span.surroundings.scope_name.startswith(_CLIENTS) or "usageDetails" not in observation:
        return None
    return {"id": span.parent_id, "traceId": span.trace_id, "metadata": {REPEATED: BELOW}}
