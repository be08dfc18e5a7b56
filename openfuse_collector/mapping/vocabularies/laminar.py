"""Laminar (lmnr): span types, input and output, association properties."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Vocabulary, by_spelling, sides

_TYPES = {
    "llm": "GENERATION",
    "tool": "TOOL",
    "evaluator": "EVALUATOR",
    "human_evaluator": "EVALUATOR",
    "executor": "CHAIN",
}

VOCABULARY = Vocabulary(
    types=(by_spelling("lmnr.span.type", _TYPES),),
    content=(sides(("lmnr.span.input",), ("lmnr.span.output",)),),
    session=("lmnr.association.properties.session_id",),
    user=("lmnr.association.properties.user_id",),
    tags=("lmnr.association.properties.tags",),
)
