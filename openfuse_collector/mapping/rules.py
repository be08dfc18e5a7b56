"""The precedence of everything, in one place: for each field, which attribute or rule is asked first.

The tuples down to `VOCABULARIES` are Langfuse's order and give Langfuse's results. What follows from `VOCABULARIES`
comes after it and only fills what stays empty. A new vocabulary is one file in `vocabularies/` and one line in that tuple.
"""

from __future__ import annotations

from openfuse_collector.mapping.rule import ContentRule, MapRule, Rule, TypeRule, Vocabulary, if_any
from openfuse_collector.mapping.vocabularies import (
    autogen,
    flue,
    gen_ai,
    genkit,
    google_adk,
    haystack,
    laminar,
    langfuse,
    langsmith,
    livekit,
    mastra,
    mlflow,
    openinference,
    openlit,
    openllmetry,
    pydantic_ai,
    strands,
    vercel,
)

VOCABULARIES: tuple[Vocabulary, ...] = (
    langfuse.VOCABULARY,
    openinference.VOCABULARY,
    gen_ai.VOCABULARY,
    genkit.VOCABULARY,
    vercel.VOCABULARY,
    livekit.VOCABULARY,
    mlflow.VOCABULARY,
    mastra.VOCABULARY,
    langsmith.VOCABULARY,
    laminar.VOCABULARY,
    haystack.VOCABULARY,
    pydantic_ai.VOCABULARY,
    openlit.VOCABULARY,
    openllmetry.VOCABULARY,
    strands.VOCABULARY,
    flue.VOCABULARY,
    google_adk.VOCABULARY,
    autogen.VOCABULARY,
)

MODEL_MEANS_GENERATION: TypeRule = if_any(
    (
        "langfuse.observation.model.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "llm.model_name",
        "model",
    ),
    "GENERATION",
)

TYPES: tuple[TypeRule, ...] = (
    langfuse.MISTYPED_GENERATION,
    langfuse.TYPE,
    openinference.SPAN_KIND,
    gen_ai.OPERATION_TYPE,
    genkit.TYPE,
    vercel.MODEL_CALL,
    vercel.TOOL_CALL,
    gen_ai.TOOL_TYPE,
    flue.TOOL,
    flue.TASK,
    livekit.TYPE,
    MODEL_MEANS_GENERATION,
    *(rule for vocabulary in VOCABULARIES for rule in vocabulary.types),
)
"""The first that gives a type decides; SPAN when none does."""

_CONTENT: tuple[ContentRule, ...] = (
    genkit.CONTENT,
    vercel.CONTENT,
    flue.CONTENT,
    gen_ai.EVENT_DETAILS,
    gen_ai.EVENT_MESSAGES,
    gen_ai.PROMPT_EVENTS,
    google_adk.CONTENT,
    pydantic_ai.LOGFIRE_PROMPT,
    livekit.CONTENT,
    pydantic_ai.EVENTS,
    mlflow.CONTENT,
    openllmetry.ENTITY,
    openinference.VALUES,
    pydantic_ai.PLAIN,
    pydantic_ai.AGENT,
    pydantic_ai.TOOL,
    openllmetry.PROMPTS,
    openinference.MESSAGES,
    gen_ai.MESSAGES,
    *(rule for vocabulary in VOCABULARIES for rule in vocabulary.content),
)
OBSERVATION_CONTENT: tuple[ContentRule, ...] = (langfuse.OBSERVATION_CONTENT, *_CONTENT)
TRACE_CONTENT: tuple[ContentRule, ...] = (langfuse.TRACE_CONTENT, *_CONTENT)
"""Each side of input and output comes from the first rule that has it."""

USAGE: tuple[MapRule, ...] = (langfuse.USAGE, genkit.USAGE, vercel.USAGE)
"""Before the counters of `gen_ai.usage.*` and `llm.token_count.*`; the first that answers decides."""
MORE_USAGE: tuple[MapRule, ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.usage)

COST: tuple[MapRule, ...] = (langfuse.COST, gen_ai.COST, openinference.COST)
MORE_COST: tuple[MapRule, ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.cost)

FIRST_TOKEN: tuple[Rule[str], ...] = (
    langfuse.FIRST_TOKEN,
    vercel.FIRST_TOKEN,
    *(rule for vocabulary in VOCABULARIES for rule in vocabulary.first_token),
)
"""When the first token came."""

REPEATS: tuple[Rule[bool], ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.repeats)
"""Any that is true says that a span repeats the usage of the spans below it."""

PARAMETERS: tuple[MapRule, ...] = (
    vercel.PARAMETERS,
    langfuse.PARAMETERS,
    genkit.PARAMETERS,
    openinference.INVOCATION_PARAMETERS,
    openinference.MODEL_CONFIG,
)
"""The first that answers decides; else every `gen_ai.request.*`."""
MORE_PARAMETERS: tuple[MapRule, ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.parameters)

MODEL: tuple[str, ...] = (
    "langfuse.observation.model.name",
    "gen_ai.response.model",
    "ai.model.id",
    "gen_ai.request.model",
    "llm.response.model",
    "llm.model_name",
    "model",
)
MORE_MODEL: tuple[str, ...] = tuple(name for vocabulary in VOCABULARIES for name in vocabulary.model)
MODEL_RULES: tuple[Rule[str], ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.model_rules)
SESSION_RULES: tuple[Rule[str], ...] = tuple(rule for vocabulary in VOCABULARIES for rule in vocabulary.session_rules)
"""Where model or session are inside something else."""

TOLD_USER: tuple[str, ...] = (
    "langfuse.user.id",
    "user.id",
    "langfuse.observation.metadata.langfuse_user_id",
    "langfuse.trace.metadata.langfuse_user_id",
    "ai.telemetry.metadata.userId",
)
TOLD_SESSION: tuple[str, ...] = (
    "langfuse.session.id",
    "session.id",
    "gen_ai.conversation.id",
    "langfuse.observation.metadata.langfuse_session_id",
    "langfuse.trace.metadata.langfuse_session_id",
    "ai.telemetry.metadata.sessionId",
)
TOLD_TAGS: tuple[str, ...] = (
    "langfuse.trace.tags",
    "langfuse.tags",
    "langfuse.observation.metadata.langfuse_tags",
    "langfuse.trace.metadata.langfuse_tags",
    "ai.telemetry.metadata.tags",
    "tag.tags",
)
"""Langfuse's own names, for what is meant for the trace: below the root they replace what the root said. The names that follow, which may
identify a call or a run, and the resource's then only fill what nobody says."""
USER: tuple[str, ...] = (*TOLD_USER, *(name for vocabulary in VOCABULARIES for name in vocabulary.user))
SESSION: tuple[str, ...] = (*TOLD_SESSION, *(name for vocabulary in VOCABULARIES for name in vocabulary.session))
TAGS: tuple[str, ...] = (*TOLD_TAGS, *(name for vocabulary in VOCABULARIES for name in vocabulary.tags))
PUBLIC: tuple[str, ...] = ("langfuse.trace.public", "langfuse.public")
ENVIRONMENT: tuple[str, ...] = ("langfuse.environment", "deployment.environment.name", "deployment.environment")
NAME: tuple[str, ...] = ("gen_ai.tool.name", "genkit:name", "logfire.msg", "ai.toolCall.name", "ai.operationId")
"""Before the span's own name. `ai.operationId` follows its function's id."""
EMPTY_NAMES = frozenset(("genkit:name", "ai.toolCall.name"))
"""Names that count although empty."""
PROMPT_NAME: tuple[str, ...] = ("langfuse.observation.prompt.name", "langfuse.prompt.name")
PROMPT_VERSION: tuple[str, ...] = ("langfuse.observation.prompt.version", "langfuse.prompt.version")

TRACE_UPDATES: tuple[str, ...] = (
    "langfuse.trace.name",
    langfuse.TRACE_INPUT,
    langfuse.TRACE_OUTPUT,
    "user.id",
    "session.id",
    "langfuse.trace.public",
    "langfuse.trace.tags",
    "langfuse.user.id",
    "langfuse.session.id",
    "langfuse.observation.metadata.langfuse_user_id",
    "langfuse.observation.metadata.langfuse_session_id",
    "langfuse.observation.metadata.langfuse_tags",
    "ai.telemetry.metadata.sessionId",
    "ai.telemetry.metadata.userId",
    "ai.telemetry.metadata.tags",
    "tag.tags",
)
"""Attributes that make a span below the root speak for its trace, if truthy."""
TRACE_UPDATE_PREFIX = "langfuse.trace.metadata"
"""Any key that begins like this does so whatever its value."""

CONSUMED: frozenset[str] = frozenset(name for vocabulary in VOCABULARIES for name in vocabulary.consumed)
CONSUMED_PREFIXES: tuple[str, ...] = tuple(
    prefix for vocabulary in VOCABULARIES for prefix in vocabulary.consumed_prefixes
)
"""Attributes that metadata leaves out because they are input, output or metadata already, whichever rule used them."""
