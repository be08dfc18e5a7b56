"""Strands Agents: loops, tools and agents by name, where the operation says nothing."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Rule, TypeRule, Vocabulary, sides
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies.gen_ai import OPERATION

_NAMES = (
    ("execute_event_loop_cycle", "CHAIN"),
    ("execute_agent_loop_cycle", "CHAIN"),
    ("Cycle ", "CHAIN"),
    ("Tool: ", "TOOL"),
)
"""How names begin, of Python since 1, of TypeScript, of Python before 1."""


def _by_name(span: SpanView) -> str | None:
    return next((type_ for name, type_ in _NAMES if span.name.startswith(name)), None)


LOOP: TypeRule = Rule(_by_name, ("event_loop.cycle_id", "agent_loop.cycle_id"))
TOOL: TypeRule = Rule(_by_name, ("tool.name",), scope="strands-agents")


def _repeats(span: SpanView) -> bool:
    """Versions without operation names sum up on the agent; their model calls go by one name."""
    return OPERATION not in span.attributes and span.name != "Model invoke"


VOCABULARY = Vocabulary(
    types=(LOOP, TOOL),
    content=(sides(("tool.parameters",), ("tool.result",), scope="strands-agents"),),
    repeats=(Rule(_repeats, scope="strands-agents"),),
)
