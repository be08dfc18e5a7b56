"""The contract checks over our own components, and over broken ones that each of them must find."""

from __future__ import annotations

import sqlite3
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from openfuse_collector.component import Settings
from openfuse_collector.config.types import Address
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.connectors.genai.connector import GenAIConnector
from openfuse_collector.errors import PermanentError, RetryableError
from openfuse_collector.events.event import Event
from openfuse_collector.exporters.sqlite.config import SqliteConfig
from openfuse_collector.exporters.sqlite.exporter import SqliteExporter
from openfuse_collector.exporters.sqlite.store import Store
from openfuse_collector.receivers.otlp import FACTORY as OTLP
from openfuse_collector.receivers.otlp.config import HttpConfig, OtlpConfig, Protocols
from openfuse_collector.signals import Batch, Delivery, Signal
from openfuse_collector.testing import (
    Answer,
    Answers,
    RandomExporter,
    RandomIntake,
    Reply,
    check_connector,
    check_exporter,
    check_processor,
    check_receiver,
    numbered,
)
from tests.builders import free_address


class Processor:
    """A processor made of one function."""

    def __init__(self, process: Callable[[Batch], Batch]) -> None:
        self.process = process

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...


def with_items(batch: Batch, keep: Callable[[int], bool]) -> Batch:
    """The batch with the events whose number passes."""
    items = [
        msgspec.structs.replace(item, data=[one for one in item.data if keep(int(one.entity.id, 16))])
        for item in batch.items
    ]
    return msgspec.structs.replace(batch, items=items)


# our own components


def test_the_sqlite_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its destination is the file: the writing of a batch fails as SQLite fails, by chance."""
    answers, path = Answers(seed=1, partial_share=0), tmp_path / "openfuse.db"
    write = Store.write

    def failing(store: Store, events: Iterable[Event], *more: Any) -> Any:
        taken = list(events)
        answer = answers.judge(numbered.numbers_in(taken))
        if answer is Answer.RETRYABLE:
            raise sqlite3.OperationalError("database is locked")
        if answer is Answer.PERMANENT:
            raise sqlite3.DataError("a value too odd")
        return write(store, taken, *more)

    monkeypatch.setattr(Store, "write", failing)

    def stored() -> list[int]:
        with closing(sqlite3.connect(path)) as connection:
            return [int(id, 16) for (id,) in connection.execute("SELECT id FROM observations")]

    check_exporter(lambda settings: SqliteExporter(settings, SqliteConfig(path=str(path))), stored, answers)
    with closing(sqlite3.connect(path)) as connection:
        (raw, distinct) = connection.execute("SELECT count(*), count(DISTINCT event_id) FROM raw_events").fetchone()
    assert raw == distinct > 300


@pytest.mark.parametrize("seed", range(3))
def test_the_worker_in_front_of_any_exporter(seed: int) -> None:
    answers = Answers(seed)
    check_exporter(lambda settings: RandomExporter(answers), answers.accepted.elements, answers)
    assert set(answers.said) == set(Answer), "partial success was among the answers"


@pytest.mark.parametrize("signal", [Signal.TRACES, Signal.LOGS])
def test_the_genai_connector(signal: Signal) -> None:
    check_connector(lambda settings: GenAIConnector(settings, GenAIConfig()), signal=signal)


async def test_the_otlp_receiver_over_http() -> None:
    address = free_address()

    def make(settings: Settings, intake: RandomIntake) -> Any:
        config = OtlpConfig(protocols=Protocols(http=HttpConfig(endpoint=Address(str(address)))))
        return OTLP.create(settings, config, intake)

    async def send(number: int) -> Reply:
        import asyncio

        return await asyncio.to_thread(post, number)

    def post(number: int) -> Reply:
        """As an SDK reads the answer: 429, 502, 503 and 504 are to be repeated, other errors are not (OTLP specification)."""
        body, headers = numbered.spans([number]).SerializeToString(), {"Content-Type": "application/x-protobuf"}
        request = urllib.request.Request(f"http://{address}/v1/traces", body, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=60):
                return Reply.ACCEPTED
        except urllib.error.HTTPError as error:
            return Reply.RETRY if error.code in (429, 502, 503, 504) else Reply.REFUSED

    await check_receiver(make, send, count=120)


def test_processors_that_keep_the_contract() -> None:
    check_processor(lambda settings: Processor(lambda batch: batch), signal=Signal.EVENTS)
    only_even = Processor(lambda batch: with_items(batch, lambda number: number % 2 == 0))
    check_processor(lambda settings: only_even, signal=Signal.EVENTS, filtered=lambda number: number % 2 == 1)


def test_a_processor_with_a_bug_loses_nothing() -> None:
    def buggy(batch: Batch) -> Batch:
        if any(number % 97 == 0 for number in numbered.numbers_of(batch)):
            raise KeyError("97")
        return batch

    with pytest.raises(AssertionError, match=r"set aside although the destination would have taken it: \d"):
        check_processor(lambda settings: Processor(buggy), signal=Signal.EVENTS)


# broken ones


def writes(batch: Batch) -> Batch:
    for item in batch.items:
        for one in item.data:
            one.body["name"] = "redacted"
    return batch


BROKEN: dict[str, tuple[Callable[[Batch], Batch], str]] = {
    "loses an item": (lambda batch: with_items(batch, lambda number: number != 77), "neither delivered.*: 77$"),
    "delivers twice": (
        lambda batch: msgspec.structs.replace(batch, items=[*batch.items, *batch.items]),
        "delivered more than once|sent again",
    ),
    "writes to its input": (writes, "it wrote to an item it was given"),
    "takes the delivery away": (
        lambda batch: msgspec.structs.replace(batch, delivery=Delivery(batch.delivery.done)),
        "another delivery",
    ),
    "changes the signal": (lambda batch: msgspec.structs.replace(batch, signal=Signal.METRICS), "a batch of metrics"),
}


@pytest.mark.parametrize("process, complaint", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_processor_is_found(process: Callable[[Batch], Batch], complaint: str) -> None:
    with pytest.raises(AssertionError, match=complaint):
        check_processor(lambda settings: Processor(process), signal=Signal.EVENTS)


class Careless(RandomExporter):
    """Exporters that get one part of the contract wrong."""

    def __init__(self, answers: Answers, react: Callable[[Answer, Sequence[int]], None]) -> None:
        super().__init__(answers)
        self.react = react

    def export(self, batch: Batch) -> None:
        numbers = numbered.numbers_of(batch)
        self.react(self.answers.judge(numbers), numbers)


def swallows(answer: Answer, numbers: Sequence[int]) -> None:
    if answer is Answer.RETRYABLE:
        raise RetryableError("later")


def gives_up(answer: Answer, numbers: Sequence[int]) -> None:
    if answer is not Answer.SUCCESS:
        raise PermanentError("anything is permanent")


def asks_again(answer: Answer, numbers: Sequence[int]) -> None:
    """Forgets that a partial success must not be repeated."""
    if answer is Answer.RETRYABLE:
        raise RetryableError("later")
    if answer is not Answer.SUCCESS:
        raise PermanentError("poison")


@pytest.mark.parametrize(
    "react, complaint",
    [
        (swallows, "neither delivered nor in the dead letters"),
        (gives_up, "although the destination would have taken it"),
        (asks_again, "more than once|sent again"),
    ],
)
def test_a_careless_exporter_is_found(react: Callable[[Answer, Sequence[int]], None], complaint: str) -> None:
    answers = Answers(seed=5)
    with pytest.raises(AssertionError, match=complaint):
        check_exporter(lambda settings: Careless(answers, react), answers.accepted.elements, answers)


class Receiver:
    """A receiver with an in-process protocol: `send` is its client."""

    def __init__(self, intake: RandomIntake, on_error: dict[type[Exception], Reply], ask_first: bool = True) -> None:
        self.intake = intake
        self.on_error = on_error
        self.ask_first = ask_first

    async def start(self) -> None: ...

    async def shutdown(self) -> None: ...

    async def receive(self, number: int) -> Reply:
        if not self.ask_first:
            return Reply.ACCEPTED
        held = numbered.events([number])
        try:
            await self.intake.accept(numbered.batch(Signal.EVENTS, [[number]]).items[0].origin, b"", held, 1)
        except Exception as error:
            return next(reply for kind, reply in self.on_error.items() if isinstance(error, kind))
        return Reply.ACCEPTED


GOOD = {RetryableError: Reply.RETRY, PermanentError: Reply.REFUSED}


async def receive_with(seed: int, on_error: dict[type[Exception], Reply], ask_first: bool = True) -> None:
    made: list[Receiver] = []

    def make(settings: Settings, intake: RandomIntake) -> Receiver:
        made.append(Receiver(intake, on_error, ask_first))
        return made[-1]

    await check_receiver(make, lambda number: made[-1].receive(number), seed=seed)


async def test_a_receiver_that_keeps_the_contract() -> None:
    await receive_with(1, GOOD)


@pytest.mark.parametrize(
    "on_error, ask_first, complaint",
    [
        ({Exception: Reply.ACCEPTED}, True, "accepted, but taken 0 times"),
        ({Exception: Reply.RETRY}, True, "told to come again|sent again"),
        (GOOD, False, "accepted, but taken 0 times"),
    ],
)
async def test_a_broken_receiver_is_found(
    on_error: dict[type[Exception], Reply], ask_first: bool, complaint: str
) -> None:
    with pytest.raises(AssertionError, match=complaint):
        await receive_with(2, on_error, ask_first)
