"""What becomes of a backlog when pipelines are renamed, removed, split, or change their receivers between two starts."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any
from zlib import crc32

import msgspec
import pytest
from journal_kit import DIRECTORY, Clock, Opened, everything, one, origin, payloads
from simulated_disk import SimulatedDisk

from openfuse_collector.journal import made_by, orphans
from openfuse_collector.signals import Origin, Signal

FILE = DIRECTORY / "cursors.json"
HOUR = 3600.0
WAITS = "not configured any more"
REQUESTS = "openfuse_pipeline_given_up_requests_total"
BYTES = "openfuse_pipeline_given_up_bytes_total"

Config = dict[str, Collection[str]]
"""Cursor name -> receivers of traces."""


class Run:
    """One start of a collector with such a configuration; its cursors are where they are when it ends."""

    def __init__(self, disk: SimulatedDisk, config: Config, clock: Clock | None = None) -> None:
        self.opened = Opened(DIRECTORY, disk, clock=clock or Clock(), segment_size=1000, orphan_after=24 * HOUR)
        takes = {
            name: [made_by(Signal.TRACES, receiver) for receiver in receivers] for name, receivers in config.items()
        }
        self.opened.journal.arrange(takes, {})
        self.readers = {
            name: self.opened.journal.reader(name, start=None, wants=lambda made, of=receivers: made.receiver in of)
            for name, receivers in config.items()
        }

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.opened.journal.close()

    async def accept(self, *receivers: str) -> None:
        """One request each; their payloads are numbered."""
        for receiver in receivers:
            payload = b"%s %d" % (receiver.encode(), self.opened.journal.end)
            await self.opened.journal.append(origin(receiver=receiver), payload, payload)

    def delivered(self, name: str, finish: bool = True) -> list[str]:
        """The receivers of what a pipeline gets, which is finished thereby."""
        found = payloads(self.readers[name])
        if finish:
            self.readers[name].commit(self.readers[name].position)
        return [payload.decode().split()[0] for payload in found]


@pytest.fixture
def disk() -> SimulatedDisk:
    return SimulatedDisk()


BEFORE: Config = {"traces": ["otlp"], "traces/eu": ["otlp/eu"]}


async def leave_a_backlog(disk: SimulatedDisk, clock: Clock | None = None, config: Config = BEFORE) -> None:
    """`traces` is up to date, whoever takes `otlp/eu` has three requests in front of it."""
    with Run(disk, config, clock) as run:
        await run.accept("otlp", "otlp/eu", "otlp", "otlp/eu", "otlp/eu", "otlp")
        run.delivered("traces")


async def test_what_was_accepted_under_another_name_waits_for_that(disk: SimulatedDisk) -> None:
    """A new name may be for another destination: it begins at the end, and the old one has what is its own when it is back."""
    await leave_a_backlog(disk)
    with Run(disk, {"traces": ["otlp"], "traces/europe": ["otlp/eu"]}) as run:
        await run.accept("otlp/eu")
        assert run.delivered("traces/europe") == ["otlp/eu"]
        assert [line["pipeline"] for line in run.opened.events(WAITS)] == ["traces/eu"]
    with Run(disk, BEFORE) as run:
        assert run.delivered("traces/eu") == ["otlp/eu"] * 4
        assert run.delivered("traces") == []
        assert [line["pipeline"] for line in run.opened.events(WAITS)] == []


async def test_what_is_left_of_a_pipeline_that_is_taken_apart_waits(disk: SimulatedDisk) -> None:
    with Run(disk, {"all": ["a", "b"]}) as run:
        await run.accept("a", "b", "a")
    with Run(disk, {"all/a": ["a"], "all/b": ["b"]}) as run:
        assert [line["of"] for line in run.opened.events(WAITS)] == [["traces:a", "traces:b"]]
        assert run.delivered("all/a") == run.delivered("all/b") == []
    with Run(disk, {"all": [], "all/a": ["a"], "all/b": ["b"]}) as run:
        assert run.delivered("all") == ["a", "b", "a"]
        assert run.opened.events(WAITS) == []


async def test_what_nobody_goes_on_with_is_said_at_every_start_and_waits(disk: SimulatedDisk) -> None:
    """The receiver went to a pipeline that is past its requests. Configured once more, the old one gets them."""
    await leave_a_backlog(disk)
    moved: Config = {"traces": ["otlp", "otlp/eu"]}
    for _ in range(2):
        with Run(disk, moved) as run:
            (line,) = run.opened.events(WAITS)
            assert line["log_level"] == "warning"
            assert (line["pipeline"], line["of"]) == ("traces/eu", ["traces:otlp/eu"])
            assert 0 < line["bytes"] <= run.opened.journal.end
            assert "configure it once more as it was" in line["remedy"]
            await run.accept("otlp/eu")
            assert run.delivered("traces") == ["otlp/eu"]
    with Run(disk, {**moved, "traces/eu": ["otlp/eu"]}) as run:
        assert run.delivered("traces/eu") == ["otlp/eu"] * 5
        assert run.opened.events(WAITS) == []
    with Run(disk, moved) as run:
        assert run.opened.events(WAITS) == []


@pytest.mark.parametrize("at_once", [1, 1 << 26])
async def test_what_is_given_up_in_the_end_is_counted(
    disk: SimulatedDisk, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own requests, not those its receiver took when they were another's already."""
    monkeypatch.setattr(orphans, "AT_ONCE", at_once)
    clock = Clock()
    await leave_a_backlog(disk, clock)
    with Run(disk, {"traces": ["otlp", "otlp/eu"]}, clock) as run:
        left = run.opened.events(WAITS)[0]["bytes"]
        assert run.opened.sample(REQUESTS, pipeline="traces/eu") == 0  # there, not absent
        await run.accept("otlp/eu", "otlp/eu", "otlp")
        run.delivered("traces")
        run.opened.journal.tidy()
        assert run.opened.events("given up") == []
        clock.now += 25 * HOUR
        for _ in range(8):
            run.opened.journal.tidy()
        (line,) = run.opened.events("journal cursor given up")
        assert (line["pipeline"], line["requests"], line["bytes"]) == ("traces/eu", 3, left)
        assert line["log_level"] == "error"
        assert run.opened.sample(REQUESTS, pipeline="traces/eu") == 3
        assert run.opened.sample(BYTES, pipeline="traces/eu") == left
        assert run.opened.sample("openfuse_journal_bytes") < 1000
    with Run(disk, {"traces": ["otlp", "otlp/eu"]}, clock) as run:
        assert run.opened.events(WAITS) == []


async def test_what_is_left_waits_from_the_first_start_without_its_pipeline_on(disk: SimulatedDisk) -> None:
    """However long the collector had been stopped before: nobody could have known."""
    clock = Clock()
    await leave_a_backlog(disk, clock)
    clock.now += 72 * HOUR
    for hours in (1, 22):
        with Run(disk, {"traces": ["otlp"]}, clock) as run:
            (line,) = run.opened.events(WAITS)
            assert datetime.fromisoformat(line["kept_until"]).timestamp() > clock.now
            clock.now += hours * HOUR
            run.opened.journal.tidy()
            assert run.opened.events("given up") == []
    with Run(disk, {"traces": ["otlp"]}, clock) as run:
        clock.now += 2 * HOUR
        run.opened.journal.tidy()
        assert len(run.opened.events("journal cursor given up")) == 1


async def test_a_pipeline_gets_what_was_accepted_for_it_before_its_receiver_was_taken_out(disk: SimulatedDisk) -> None:
    """Renamed, removed or given to another pipeline: what was accepted since is not its own."""
    await leave_a_backlog(disk, config={"traces": ["otlp"], "traces/eu": ["otlp/eu", "otlp/x"]})
    after: Config = {"traces": ["otlp", "otlp/eu"], "traces/eu": ["otlp/x"]}
    with Run(disk, after) as run:
        assert len(run.opened.events("before its receivers were changed")) == 1
        await run.accept("otlp/eu", "otlp/x")
        assert run.delivered("traces/eu", finish=False) == ["otlp/eu", "otlp/eu", "otlp/eu", "otlp/x"]
        assert run.delivered("traces") == ["otlp/eu"]
    with Run(disk, after) as run:
        assert run.delivered("traces/eu") == ["otlp/eu", "otlp/eu", "otlp/eu", "otlp/x"]
    with Run(disk, after) as run:
        assert run.opened.events("before its receivers were changed") == []
        assert run.delivered("traces/eu") == []


async def test_a_new_pipeline_begins_at_the_end_where_nobody_left_anything_it_takes(disk: SimulatedDisk) -> None:
    await leave_a_backlog(disk)
    with Run(disk, {"traces": ["otlp"], "traces/new": ["otlp", "otlp/new"]}) as run:
        assert run.delivered("traces/new") == []
        assert len(run.opened.events(WAITS)) == 1


async def test_a_pipeline_that_was_up_to_date_leaves_nothing(disk: SimulatedDisk) -> None:
    with Run(disk, BEFORE) as run:
        await run.accept("otlp/eu", "otlp")
        run.delivered("traces")
        run.delivered("traces/eu")
    with Run(disk, {"traces": ["otlp", "otlp/eu"]}) as run:
        assert run.opened.events(WAITS) == []
        await run.accept("otlp/eu")
        run.delivered("traces")
    with Run(disk, {"traces": ["otlp", "otlp/eu"], "traces/late": ["otlp/eu"]}) as run:
        assert run.delivered("traces/late") == []


async def test_cursors_of_earlier_versions_do_not_tell_whose_requests_they_have(disk: SimulatedDisk) -> None:
    await leave_a_backlog(disk)
    forget_makers(disk)
    with Run(disk, {"traces": ["otlp"]}) as run:
        assert run.opened.events("unreadable") == []
        assert run.delivered("traces") == []
        assert [(line["pipeline"], line["of"]) for line in run.opened.events(WAITS)] == [("traces/eu", ["*"])]
    with Run(disk, BEFORE) as run:
        assert run.delivered("traces/eu") == ["otlp/eu"] * 3
        assert run.opened.events(WAITS) == []


def cursors(disk: SimulatedDisk) -> dict[str, dict[str, Any]]:
    """What is in `cursors.json`."""
    found: dict[str, dict[str, Any]] = msgspec.json.decode(disk.content(FILE))["cursors"]
    return found


def forget_makers(disk: SimulatedDisk) -> None:
    """Rewrite the file as it was when it had names and offsets only."""
    old = {name: {key: cursor[key] for key in ("offset", "claimed")} for name, cursor in cursors(disk).items()}
    disk.overwrite(FILE, msgspec.json.encode({"cursors": old, "crc32": crc32(msgspec.json.encode(old))}))


async def test_a_cursor_claimed_under_another_name_keeps_what_was_accepted_for_it(disk: SimulatedDisk) -> None:
    """The destination that was second is the only one left and goes by the pipeline's name; one of its receivers is another's now."""
    both = [made_by(Signal.TRACES, "otlp"), made_by(Signal.TRACES, "otlp/eu")]
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.arrange({"traces": both, "traces@b": both}, {"traces@a": "traces"})
        first = opened.journal.reader("traces", start=None, wants=everything)
        opened.journal.reader("traces@b", start=None, wants=everything, after="traces")
        for receiver in ("otlp", "otlp/eu"):
            await opened.journal.append(origin(receiver=receiver), b"x", receiver)
        first.take(2, 1 << 20, 0, 0, one)
        first.commit(first.position)
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.arrange({"traces": both[:1], "traces/eu": both[1:]}, {"traces@b": "traces"})
        reader = opened.journal.reader(
            "traces",
            start=None,
            wants=lambda made: made.receiver == "otlp",
            after="traces",
            formerly="traces@b",
        )
        assert len(payloads(reader)) == 2, "also what was accepted for it by the receiver it does not have any more"
        assert opened.events(WAITS) == []


async def test_a_start_that_fails_forgets_nothing(disk: SimulatedDisk) -> None:
    """The configuration was told, and no pipeline came of it; the next one does not have the pipeline at all."""
    makers = [made_by(Signal.TRACES, "otlp")]
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.arrange({"traces": makers, "traces@b": makers}, {"traces@a": "traces"})
        for name in ("traces", "traces@b"):
            opened.journal.reader(name, start=None, wants=everything)
        await opened.journal.append(origin(receiver="otlp"), b"x", "otlp")
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.arrange({"traces": makers}, {"traces@b": "traces"})
    with Opened(DIRECTORY, disk) as opened:
        opened.journal.arrange({}, {})
        waiting = {line["pipeline"]: line["of"] for line in opened.events(WAITS)}
    assert waiting == {"traces": ["traces:otlp"], "traces@b": ["traces:otlp"]}


def test_a_maker_is_a_signal_and_a_receiver() -> None:
    made = Origin(Signal.LOGS, "otlp/eu", 1)
    assert made_by(made.signal, made.receiver) == "logs:otlp/eu"
