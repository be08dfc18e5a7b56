"""Strands Agents: loop and agent spans by name, where the operation says nothing."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Rule, TypeRule, Vocabulary
from openfuse_collector.mapping.span_view import SpanView

_NAMES = {"execute_event_loop_cycle": "CHAIN"}


def _by_name(span: SpanView) -> str | None:
    return _NAMES.get(span.name)


LOOP: TypeRule = Rule(_by_name, frozenset(("event_loop.cycle_id",)))

VOCABULARY = Vocabulary(types=(LOOP,))
