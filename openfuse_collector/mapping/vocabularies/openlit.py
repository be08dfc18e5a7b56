"""OpenLIT beyond the conventions: content of agent frameworks."""

from __future__ import annotations

from openfuse_collector.mapping.rule import Vocabulary, sides

VOCABULARY = Vocabulary(
    content=(
        sides(("gen_ai.agent.input", "gen_ai.framework.input"), ("gen_ai.agent.output", "gen_ai.framework.output")),
        sides(("gen_ai.content.prompt",), ("gen_ai.content.completion",)),
    ),
)
