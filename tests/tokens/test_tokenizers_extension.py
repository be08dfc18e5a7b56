"""The `tokenizers` extension in the store stage: rows with counts and cost, the same however events come, and fair warnings."""

from __future__ import annotations

import dataclasses
import itertools
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from made_up_vocabulary import write
from structlog.testing import capture_logs

from openfuse_collector.component import Kind, Settings
from openfuse_collector.components import factory
from openfuse_collector.config.types import Size
from openfuse_collector.events.accumulator import Accumulator
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.extensions import tokenizers
from openfuse_collector.extensions.tokenizers import FACTORY
from openfuse_collector.extensions.tokenizers.config import TokenizersConfig
from openfuse_collector.store.enrichment import configured_enrichment
from tests.builders import event, metric, settings


def with_tokenizers(config: TokenizersConfig) -> Settings:
    """Settings of a store in a service that lists the extension."""
    own = settings("tokenizers")
    return dataclasses.replace(settings("sqlite", own.metrics), extensions={own.id: FACTORY.create(own, config)})


def rows(path: Path, config: TokenizersConfig, events: list[Event], batch: int) -> list[tuple[Any, ...]]:
    """What a store with the extension has of an observation's usage and cost after these events."""
    store = Store(SqliteConfig(path=str(path)), configured_enrichment(with_tokenizers(config)))
    for start in range(0, len(events), batch):
        store.write(events[start : start + batch])
    store.close()
    with sqlite3.connect(path) as reader:
        return reader.execute(
            "SELECT id, usage_details, input_usage, output_usage, total_usage, total_cost FROM observations ORDER BY id"
        ).fetchall()


def test_rows_have_counts_and_their_cost(tmp_path: Path, vocabularies_at: Path) -> None:
    config = TokenizersConfig(directory=str(vocabularies_at))
    events = [
        event("o1", model="gpt-4", input="hello world", output="hello"),
        event("o2", model="gpt-4", input="hello", output="hello", usageDetails={"input": 50}),
        event("o3", model="gpt-4", input="hello", level="ERROR"),
        event("o4", model="gpt-4", input=[{"role": "user", "content": "hello world"}]),
        event("o5", model="unheard-of", input="hello"),
    ]
    assert rows(tmp_path / "a.db", config, events, 10) == [
        ("o1", '{"input":2,"output":1,"total":3}', 2, 1, 3, 0.00012),
        ("o2", '{"input":50,"total":50}', 50, None, 50, 0.0015),
        ("o3", "{}", None, None, None, None),
        ("o4", '{"input":9,"total":9}', 9, None, 9, 0.00027),
        ("o5", "{}", None, None, None, None),
    ]


def test_any_order_and_any_batches_give_the_rows_of_the_whole(tmp_path: Path, vocabularies_at: Path) -> None:
    """Input, output, model and a late usage of three observations come in pieces."""
    pieces: list[dict[str, Any]] = [{"model": "gpt-4"}, {"input": "hello world"}, {"output": "hello"}]
    given = [event(id, **piece) for id in ("o1", "o2", "o3") for piece in pieces]
    given.append(event("o3", usageDetails={"input": 50}))
    config = TokenizersConfig(directory=str(vocabularies_at), cache_size=Size(0))
    cached = TokenizersConfig(directory=str(vocabularies_at))
    whole = rows(tmp_path / "whole.db", config, given, len(given))
    assert [row[1] for row in whole] == [*['{"input":2,"output":1,"total":3}'] * 2, '{"input":50,"total":50}']
    for number, (step, how) in enumerate(itertools.product((1, 3, 7), (config, cached))):
        turned = given[number:] + given[:number]
        assert rows(tmp_path / f"{number}.db", how, turned[::-1], step) == whole


def test_what_cannot_be_counted_is_stored_and_told(vocabularies_at: Path) -> None:
    store = with_tokenizers(TokenizersConfig(directory=str(vocabularies_at), max_characters=11))
    enrich = configured_enrichment(store)
    given = [("gpt-4", "hello world"), ("gpt-4", "hello world!"), ("gpt-4o", "hello"), ("claude-2.1", "hello")]
    usages = []
    for model, text in given:
        made = Accumulator.of([event("o", model=model, input=text)]).record()
        assert made is not None
        usages.append(enrich("observation", made)["usage_details"])
    assert usages == [{"input": 2, "total": 2}, {}, {}, {"input": 1, "total": 1}]
    assert metric(store.metrics, "openfuse_tokenizer_tokens_total") == 3
    skipped = "openfuse_tokenizer_skipped_total"
    assert [metric(store.metrics, skipped, reason=r) for r in ("too_long", "no_vocabulary")] == [1, 1]


def test_vocabularies_of_tiktoken_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "r50k_base")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    with capture_logs() as logs:
        configured_enrichment(with_tokenizers(TokenizersConfig(directory=str(tmp_path / "absent"))))
    assert [(log["log_level"], log["vocabularies"]) for log in logs] == [("info", ["r50k_base"])]


@pytest.mark.parametrize("installed", [True, False])
def test_nothing_to_count_with_is_one_warning(
    tmp_path: Path, vocabularies_at: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "tiktoken", None)
    directory = tmp_path if installed else vocabularies_at
    with capture_logs() as logs:
        found = rows(
            tmp_path / "store.db",
            TokenizersConfig(directory=str(directory)),
            [event(id, model="gpt-4", input="hello") for id in ("o1", "o2")],
            1,
        )
    assert [row[1] for row in found] == ["{}", "{}"]
    assert [log["log_level"] for log in logs] == ["warning"]
    remedies = ("pip install openfuse-collector[tokenizers]", "put cl100k_base.tiktoken")
    assert str(logs[0]["remedy"]).startswith(remedies[installed])


def test_without_the_extension_nothing_is_counted() -> None:
    made = Accumulator.of([event("o", model="gpt-4", input="hello")]).record()
    assert made is not None
    assert configured_enrichment(settings("sqlite"))("observation", made)["usage_details"] == {}


async def test_life(vocabularies_at: Path) -> None:
    create = factory(Kind.EXTENSION, "tokenizers").create
    extension = create(settings("tokenizers"), TokenizersConfig(directory=str(vocabularies_at)))
    await extension.shutdown()
    await extension.start()
    await extension.shutdown()
    await extension.shutdown()


def test_mistakes_are_named() -> None:
    assert list(TokenizersConfig().validate()) == []
    assert list(TokenizersConfig(directory="", max_characters=0).validate()) == [
        "directory must not be empty",
        "max_characters must be at least 1",
    ]


def test_every_setting_and_metric_is_documented() -> None:
    readme = (Path(tokenizers.__file__).parent / "README.md").read_text("utf-8")
    named = [*(field.name for field in dataclasses.fields(TokenizersConfig)), *FACTORY.metrics]
    assert [name for name in named if f"`{name}" not in readme] == []
