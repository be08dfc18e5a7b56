"""Invariant I1: whatever operation the power goes at, nothing acknowledged is missing, nothing is invented, no offset is reused."""

from __future__ import annotations

import asyncio
from itertools import count
from random import Random

import pytest
from journal_kit import DIRECTORY, Clock, Opened, drain, everything, origin
from simulated_disk import SimulatedDisk, Survival

from openfuse_collector.errors import OverloadError
from openfuse_collector.journal import JournalError, Reader
from openfuse_collector.journal.record import MAGIC
from openfuse_collector.signals import Origin, Signal

SURVIVALS: tuple[Survival, ...] = ("all", "none", "prefix", "subset")
SEGMENT = 4000


def only_logs(origin: Origin) -> bool:
    return origin.signal is Signal.LOGS


class World:
    """What senders and pipelines remember: it outlives every power cut."""

    def __init__(self) -> None:
        self.sent: dict[bytes, Signal] = {}
        self.known: dict[int, bytes] = {}
        """Offset -> payload, as acknowledged or as a pipeline was given it."""
        self.acknowledged: set[int] = set()
        self.finished = {"all": 0, "logs": 0}
        self.instances: set[str] = set()
        self._numbers = count()

    def payload(self, signal: Signal) -> bytes:
        number = next(self._numbers)
        made = f"{number}:".encode() + (MAGIC + b"x" * 13) * (number % 7 * 12)
        self.sent[made] = signal
        return made

    def learn(self, offset: int, payload: bytes) -> None:
        assert payload in self.sent, "a record nobody sent"
        assert self.known.setdefault(offset, payload) == payload, f"offset {offset} has two contents"


async def send(world: World, opened: Opened, signal: Signal = Signal.TRACES) -> None:
    payload = world.payload(signal)
    offset = await opened.journal.append(origin(signal), payload, payload)
    world.learn(offset, payload)
    world.acknowledged.add(offset)


def read(world: World, reader: Reader) -> int:
    for item in drain(reader, at_once=3):
        world.learn(item.position, item.data)
    return reader.position


def finish(world: World, reader: Reader, name: str) -> None:
    end = read(world, reader)
    world.finished[name] = max(world.finished[name], end)
    reader.commit(end)


async def live(world: World, disk: SimulatedDisk, clock: Clock) -> None:
    """A day in the life: appends alone and in groups, segment rolls, cursor commits, deletion, restart."""
    for _ in range(2):
        with Opened(DIRECTORY, disk, segment_size=SEGMENT, clock=clock) as opened:
            world.instances.add(opened.journal.instance)
            every = opened.journal.reader("all", start=None, wants=everything)
            logs = opened.journal.reader("logs", start=None, wants=only_logs)
            await send(world, opened)
            await send(world, opened, Signal.LOGS)
            await asyncio.gather(*(send(world, opened, signal) for signal in (*Signal, *Signal)))
            finish(world, every, "all")
            opened.journal.tidy()
            await asyncio.gather(*(send(world, opened) for _ in range(6)))
            read(world, every)
            finish(world, logs, "logs")
            opened.journal.tidy()
            await send(world, opened)
            finish(world, every, "all")
            clock.now += 61
            finish(world, logs, "logs")
            opened.journal.tidy()
            await send(world, opened, Signal.LOGS)


async def live_until_the_cut(world: World, disk: SimulatedDisk, clock: Clock) -> None:
    try:
        await live(world, disk, clock)
    except (OverloadError, JournalError, ExceptionGroup):
        assert disk.dead


async def check(world: World, disk: SimulatedDisk, clock: Clock, *, go_on: bool = True) -> None:
    """Open what is left, compare it with what the world remembers, and append one more."""
    with Opened(DIRECTORY, disk, segment_size=SEGMENT, clock=clock) as opened:
        if world.instances:
            assert world.instances == {opened.journal.instance}
        for name, wants in (("all", everything), ("logs", only_logs)):
            reader = opened.journal.reader(name, start=None, wants=wants)
            found = {item.position: item.data for item in drain(reader)}
            for offset, payload in found.items():
                world.learn(offset, payload)
            due = {
                offset
                for offset in world.acknowledged
                if offset >= world.finished[name] and wants(origin(world.sent[world.known[offset]]))
            }
            assert due <= found.keys()
        if not go_on:
            return
        highest = max(world.known, default=-1)
        await send(world, opened)
        assert max(world.known) > highest, "an offset below one that was given out"


@pytest.mark.parametrize("survival", SURVIVALS)
async def test_power_cut_at_every_operation(survival: Survival) -> None:
    for cut_at in count(1):
        world, clock, disk = World(), Clock(), SimulatedDisk(cut_at=cut_at)
        await live_until_the_cut(world, disk, clock)
        booted = disk.after_power_cut(survival, Random(cut_at))
        await check(world, booted, clock)
        await check(world, booted, clock)
        if not disk.dead_before_boot:
            break
    assert cut_at > 60, "the scenario has become too short to prove anything"


async def test_power_cuts_one_after_the_other_also_during_recovery() -> None:
    for seed in range(80):
        random, world, clock, disk = Random(seed), World(), Clock(), SimulatedDisk()
        for _ in range(5):
            disk.cut_at = random.randint(1, random.choice((4, 12, 90)))
            await live_until_the_cut(world, disk, clock)
            disk = disk.after_power_cut(random.choice(SURVIVALS), random)
        await check(world, disk, clock)


async def test_a_killed_process_loses_nothing_and_a_later_power_cut_neither() -> None:
    """kill -9 leaves the page cache: what was not acknowledged may be read, and then has to stay."""
    for seed in range(40):
        random, world, clock = Random(seed), World(), Clock()
        disk = SimulatedDisk(cut_at=random.randint(1, 90))
        await live_until_the_cut(world, disk, clock)
        disk = disk.after_kill()
        await check(world, disk, clock, go_on=False)
        await check(world, disk.after_power_cut("none", random), clock)
