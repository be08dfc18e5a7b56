"""Sums of a trace: tokens that libraries write on a parent a second time count once, whatever the library."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from openfuse_collector.cli.views.store import Rollup, Trace, rollups
from openfuse_collector.enrich import enrich, enrichment
from openfuse_collector.enrich.repeated import BELOW, REPEATED
from openfuse_collector.events.columns import OBSERVATION_COLUMNS
from openfuse_collector.events.event import Event
from openfuse_collector.events.reference import fold
from openfuse_collector.events.rows import row
from openfuse_collector.pricing import Catalogue
from openfuse_collector.pricing.entry import ModelEntry
from tests.conformance import corpus_inprocess
from tests.mapping.span_requests import CHILD, ROOT, TRACE, mapped, span

Row = dict[str, Any]
PRICED = enrichment(
    Catalogue([ModelEntry("m", "^m$", {"input": "2", "output": "10"}, per="million").model()], built_in=tuple)
)


def sums(rows: Iterable[Row]) -> dict[str, Rollup]:
    """What `openfuse-collector traces` adds up, by trace id."""
    rows = list(rows)
    store = sqlite3.connect(":memory:")
    store.row_factory = sqlite3.Row
    store.execute(f"CREATE TABLE observations ({','.join(OBSERVATION_COLUMNS)}, PRIMARY KEY (project_id, id))")
    marks = ",".join("?" * len(OBSERVATION_COLUMNS))
    store.executemany(f"INSERT INTO observations VALUES ({marks})", [tuple(one.values()) for one in rows])
    ids = {one["trace_id"] for one in rows}
    traces = [Trace("default", id_, 0, *(None,) * 10) for id_ in ids]
    return {trace_id: rollup for (_, trace_id), rollup in rollups(store, traces).items()}


def total(one: Row) -> int:
    """Tokens of an observation, its total stated or added up."""
    return int(json.loads(one["usage_details"]).get("total", 0))


def leaves(rows: dict[str, Row]) -> dict[str, int]:
    """Tokens by trace of the observations that have some while nothing below them has: the calls themselves."""
    covered: set[str] = set()
    for one in rows.values():
        above = one["parent_observation_id"] if total(one) else None
        while above in rows and above not in covered:
            covered.add(above)
            above = rows[above]["parent_observation_id"]
    found: dict[str, int] = defaultdict(int)
    for id_, one in rows.items():
        found[one["trace_id"]] += 0 if id_ in covered else total(one)
    return found


def flattened_totals(rows: dict[str, Row]) -> dict[str, int]:
    """What a reader gets who adds up the flattened column and knows no more than that."""
    found: dict[str, int] = defaultdict(int)
    for one in rows.values():
        found[one["trace_id"]] += one["total_usage"] or 0
    return found


LIBRARIES = (
    "js-ai-sdk-4",
    "js-ai-sdk-5",
    "js-ai-sdk-6",
    "js-genkit",
    "js-langsmith-otel",
    "js-strands",
    "py-agent-framework",
    "py-anthropic-sdk-native",
    "py-langfuse-js-aisdk",
    "py-openinference-smolagents",
    "py-openlit-agno",
    "py-openlit-langchain-1.45",
    "py-otel-genai-anthropic",
    "py-pydantic-ai-0",
    "py-pydantic-ai-1",
    "py-pydantic-ai-2",
    "py-strands-agents-0",
    "py-strands-agents-1",
    "py-vercel-ai-sdk-4",
    "py-vercel-ai-sdk-5",
    "py-vercel-ai-sdk-6",
    "py-vercel-ai-sdk-7",
)


@pytest.mark.shared
@pytest.mark.parametrize("library", LIBRARIES)
def test_captured_traces_count_each_call_once(library: str) -> None:
    if not (corpus_inprocess.SHARED / "corpus").is_dir():
        pytest.skip(f"no corpus at {corpus_inprocess.SHARED}: set OPENFUSE_SHARED")
    tokens = 0
    for case in corpus_inprocess.load_cases(library):
        rows, _, _ = corpus_inprocess.rows_of(case)
        if rows:
            counted = {trace_id: rollup.total_tokens for trace_id, rollup in sums(rows.values()).items()}
            assert counted == leaves(rows), case["scenario"]
            assert flattened_totals(rows) == leaves(rows), case["scenario"]
            tokens += sum(counted.values())
    assert tokens > 0


@pytest.mark.shared
def test_no_other_captured_library_counts_a_call_twice() -> None:
    if not (corpus_inprocess.SHARED / "corpus").is_dir():
        pytest.skip(f"no corpus at {corpus_inprocess.SHARED}: set OPENFUSE_SHARED")
    others = [case for case in corpus_inprocess.load_cases() if not case["scenario"].startswith(LIBRARIES)]
    assert len({case["scenario"].split("/")[0] for case in others}) > 50
    for case in others:
        rows, _, _ = corpus_inprocess.rows_of(case)
        assert flattened_totals(rows) == leaves(rows), case["scenario"]


@pytest.mark.shared
def test_no_captured_cost_is_stated_again_above() -> None:
    """Among what a trace's sum of costs is made of."""
    if not (corpus_inprocess.SHARED / "corpus").is_dir():
        pytest.skip(f"no corpus at {corpus_inprocess.SHARED}: set OPENFUSE_SHARED")
    costs = 0
    for case in corpus_inprocess.load_cases():
        rows, _, _ = corpus_inprocess.rows_of(case)
        for one in rows.values():
            above = rows.get(one["parent_observation_id"] or "") if one["total_cost"] else None
            costs += bool(one["total_cost"])
            while above is not None:
                assert above["total_cost"] is None, (case["scenario"], one["id"])
                above = rows.get(above["parent_observation_id"] or "")
    assert costs > 100


def rows_of(*spans: Any, scope: str, enriched: Any = enrich) -> dict[str, Row]:
    """Observation rows of spans of one scope by id."""
    return rows_of_scopes((scope, spans), enriched=enriched)


def rows_of_scopes(*scopes: tuple[str, Sequence[Any]], enriched: Any = enrich) -> dict[str, Row]:
    """Observation rows of spans by id."""
    grouped: dict[str, list[Event]] = defaultdict(list)
    for scope, spans in scopes:
        events, failures = mapped(*spans, scope=scope)
        assert not failures
        for event in events:
            if event.entity.type == "observation":
                grouped[event.entity.id].append(event)
    records = {id_: fold(group) for id_, group in grouped.items()}
    return {id_: dict(row("observation", enriched("observation", record))) for id_, record in records.items() if record}


USAGE = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
CHAT = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}
GENKIT = {"genkit:output": '{"usage":{"inputTokens":10,"outputTokens":5,"totalTokens":15}}'}
OPENINFERENCE = {"llm.token_count.prompt": 10, "llm.token_count.completion": 5}
Attributes = dict[str, Any]

PAIRS: list[tuple[str, str, tuple[str, Attributes], tuple[str, Attributes]]] = [
    (
        "vercel",
        "ai",
        ("x", {"ai.operationId": "ai.generateText"}),
        ("x", {"ai.operationId": "ai.generateText.doGenerate"}),
    ),
    ("vercel rerank", "ai", ("x", {"ai.operationId": "ai.rerank"}), ("x", {"ai.operationId": "ai.rerank.doRerank"})),
    ("vercel 7", "gen_ai", ("x", {"gen_ai.operation.name": "agent_step"}), ("x", CHAT)),
    ("agent framework", "agent_framework", ("x", {"gen_ai.operation.name": "invoke_agent"}), ("x", CHAT)),
    ("pydantic ai before 2", "pydantic-ai", ("agent run", {"agent_name": "a"}), ("chat m", CHAT)),
    (
        "strands before 1",
        "strands-agents",
        ("Strands Agent", {"gen_ai.request.model": "m"}),
        ("Model invoke", {"model": "m"}),
    ),
    ("strands workflow", "strands.telemetry.tracer", ("x", {"gen_ai.operation.name": "invoke_graph"}), ("x", CHAT)),
    ("openlit workflow", "openlit", ("x", {"gen_ai.operation.name": "invoke_workflow"}), ("x", CHAT)),
    ("langsmith", "langsmith", ("x", {"langsmith.span.kind": "chain"}), ("x", {"langsmith.span.kind": "llm"})),
    ("genkit", "genkit-tracer", ("generate", GENKIT), ("m", {**GENKIT, "genkit:metadata:subtype": "model"})),
    (
        "smolagents",
        "openinference.instrumentation.smolagents",
        ("run", {"openinference.span.kind": "AGENT", **OPENINFERENCE}),
        ("generate", {"openinference.span.kind": "LLM", **OPENINFERENCE}),
    ),
    ("two instrumentations of one call", "x", ("chat m", CHAT), ("openai.chat", CHAT)),
]


@pytest.mark.parametrize(("scope", "above", "below"), [pair[1:] for pair in PAIRS], ids=[pair[0] for pair in PAIRS])
def test_a_parent_that_repeats_its_call(
    scope: str, above: tuple[str, Attributes], below: tuple[str, Attributes]
) -> None:
    own = {} if scope == "genkit-tracer" or "smolagents" in scope else USAGE
    rows = rows_of(
        span({**above[1], **own}, name=above[0]),
        span({**below[1], **own}, name=below[0], span_id=CHILD, parent=ROOT),
        scope=scope,
    )
    (rollup,) = sums(rows.values()).values()
    assert (rollup.input_tokens, rollup.output_tokens, rollup.total_tokens) == (10, 5, 15)
    assert total(rows[CHILD]) == 15


def test_what_is_repeated_stays_readable_on_the_observation() -> None:
    parent = rows_of(span({"ai.operationId": "ai.streamText", **USAGE}), scope="ai")[ROOT]
    assert json.loads(parent["usage_details"]) == {"input": 10, "output": 5, "total": 15}
    assert parent["provided_usage_details"] == '{"input":10,"output":5}'
    assert [parent[f"{side}_usage"] for side in ("input", "output", "total")] == [None, None, None]
    assert json.loads(parent["metadata"])[REPEATED] == BELOW


def test_a_repetition_is_not_priced() -> None:
    attributes = {"gen_ai.request.model": "m", **USAGE}
    rows = rows_of(
        span({"ai.operationId": "ai.generateText", **attributes}),
        span({"ai.operationId": "ai.generateText.doGenerate", **attributes}, span_id=CHILD, parent=ROOT),
        scope="ai",
        enriched=PRICED,
    )
    assert (rows[ROOT]["cost_details"], rows[ROOT]["total_cost"]) == ("{}", None)
    assert sums(rows.values())[TRACE].cost == rows[CHILD]["total_cost"] == pytest.approx(0.00007)


def test_calls_side_by_side_and_calls_inside_others_all_count() -> None:
    """Equal usage is a repetition only right below a generation; a nested call with other numbers is a call."""
    chats = [span({**CHAT, **USAGE}, span_id=f"{n:016x}", parent=ROOT) for n in (1, 2)]
    nested = span({**CHAT, "gen_ai.usage.input_tokens": 3}, span_id=CHILD, parent=f"{1:016x}")
    rows = rows_of(span({"gen_ai.operation.name": "invoke_agent"}), *chats, nested, scope="x")
    assert sums(rows.values())[TRACE].total_tokens == 33


ANTHROPIC = "com.anthropic.sdk.python"


@pytest.mark.parametrize(
    "above", ["opentelemetry.instrumentation.genai.anthropic", "pydantic-ai", "strands-agents", "openlit"]
)
def test_the_anthropic_sdk_below_whoever_instruments_it(above: str) -> None:
    """Both spans state the call. The one of the SDK counts, whatever the usage of the other looks like."""
    upper = span({**CHAT, **USAGE, "gen_ai.usage.total_tokens": 16}, name="chat m")
    lower = span({**CHAT, **USAGE}, name="anthropic.messages.create", span_id=CHILD, parent=ROOT)
    for order in (((above, [upper]), (ANTHROPIC, [lower])), ((ANTHROPIC, [lower]), (above, [upper]))):
        rows = rows_of_scopes(*order, enriched=PRICED)
        assert flattened_totals(rows) == {TRACE: 15}
        assert (rows[ROOT]["total_usage"], rows[ROOT]["total_cost"]) == (None, None)
        assert total(rows[ROOT]) == 16
        assert rows[CHILD]["total_cost"] == pytest.approx(0.00007)


def test_the_anthropic_sdk_by_itself() -> None:
    """Below a span that is not exported, or that states no usage, it is a call like any other."""
    lower = span({**CHAT, **USAGE}, span_id=CHILD, parent=ROOT)
    alone = rows_of_scopes((ANTHROPIC, [lower]))
    assert set(alone) == {CHILD} and flattened_totals(alone) == {TRACE: 15}
    inside = rows_of_scopes(("app", [span(name="handler")]), (ANTHROPIC, [lower]))
    assert flattened_totals(inside) == {TRACE: 15}
    failed = rows_of_scopes(("x", [span({**CHAT, **USAGE})]), (ANTHROPIC, [span(CHAT, span_id=CHILD, parent=ROOT)]))
    assert flattened_totals(failed) == {TRACE: 15}
