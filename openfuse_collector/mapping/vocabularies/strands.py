"""Strands Agents: loop and agent spans by name, where the operation says nothing."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Rule, TypeRule, Vocabulary
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies.gen_ai import OPERATION

_NAMES = {"execute_event_loop_cycle": "CHAIN"}


def _by_name(span: SpanView) -> str | None:
    return _NAMES.get(span.name)


LOOP: TypeRule = Rule(_by_name, ("event_loop.cycle_id",))


def _repeats(span: SpanView) -> bool:
    """Versions without operation names sum up on the agent; their model calls go by one name."""
    return OPERATION not in span.attributes and span.name != "Model invoke"


VOCABULARY = Vocabulary(types=(LOOP,), repeats=(Rule(_repeats, scope="strands-agents"),))
