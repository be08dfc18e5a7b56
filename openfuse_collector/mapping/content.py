"""Input and output of a span."""

from __future__ import annotations

from typing import Any

from openfuse_collector.mapping.coercion import meaningful
from openfuse_collector.mapping.rule import Content, ContentRule
from openfuse_collector.mapping.span_view import SpanView


def content_of(span: SpanView, rules: tuple[ContentRule, ...]) -> Content:
    """Each side from the first rule that has something there.

    Where Langfuse stops at the first rule that knows one side, this goes on for the other. A side that is only ever
    empty (`""`, `[]`, `{}`) keeps what Langfuse has there: the value of a rule no better rule came before.
    """
    asked: Any = None
    answered: Any = None
    has_input = has_output = False
    for rule in rules:
        found = rule.apply(span)
        if found is None:
            continue
        first = not (has_input or has_output)
        if not has_input and found.input is not None:
            has_input = meaningful(found.input)
            asked = found.input if has_input or (first and asked is None) else asked
        if not has_output and found.output is not None:
            has_output = meaningful(found.output)
            answered = found.output if has_output or (first and answered is None) else answered
        if has_input and has_output:
            break
    return Content(asked, answered)
