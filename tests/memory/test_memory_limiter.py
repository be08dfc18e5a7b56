"""What is taken and what is refused, by resident memory and requests under way."""

from __future__ import annotations

import asyncio
from threading import Event, Thread

import pytest
from structlog import wrap_logger
from structlog.testing import LogCapture

from openfuse_collector.errors import OverloadError
from openfuse_collector.memory import Limits, MemoryLimiter
from openfuse_collector.memory.limiter import GROWTH
from openfuse_collector.receivers.requests.in_flight import InFlight
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import metric

LIMITS = SOFT, HARD = Limits(1000, 1200)


class Machine:
    """A limiter over memory that is what we say it is."""

    def __init__(self, rss: int, limits: Limits | None = LIMITS) -> None:
        self.rss = rss
        self.metrics, self.logs = Metrics(), LogCapture()
        log = wrap_logger(None, processors=[self.logs])
        self.limiter = MemoryLimiter(limits, self.metrics, log, lambda: self.rss)


def test_requests_under_way_count_for_what_they_will_take() -> None:
    machine = Machine(400)
    in_flight = InFlight(10_000, machine.limiter)
    room = (SOFT - 400) // GROWTH
    with in_flight.hold() as first, in_flight.hold() as second:
        first.resize(room - 50)
        second.resize(50)
        with pytest.raises(OverloadError) as refused:
            second.resize(51)
        assert refused.value.after
    assert machine.limiter.held == 0
    assert metric(machine.metrics, "openfuse_memory_refused_requests_total") == 1


def test_a_request_alone_may_be_larger_than_what_is_left() -> None:
    machine = Machine(900)
    in_flight = InFlight(10_000, machine.limiter)
    with in_flight.hold() as alone:
        alone.resize(2000)
        alone.resize(4000)
        assert not in_flight.fits(1)


def test_nothing_is_taken_beyond_the_hard_limit() -> None:
    machine = Machine(HARD + 1)
    with pytest.raises(OverloadError, match="memory is short"):
        InFlight(10_000, machine.limiter).check(1)


def test_without_limits_everything_fits() -> None:
    limiter = Machine(10**12, None).limiter
    assert limiter.fits(10**12) and not limiter.pressed


async def watched(machine: Machine, until: Event) -> None:
    watch = asyncio.create_task(machine.limiter.watch(0.001))
    assert await asyncio.to_thread(until.wait, 30)
    watch.cancel()


@pytest.mark.parametrize("rss", [SOFT + 1, HARD + 1])
async def test_beyond_the_soft_limit_caches_are_dropped(rss: int) -> None:
    machine, dropped = Machine(rss), Event()

    def drop() -> None:
        machine.rss = 100
        dropped.set()

    machine.limiter.on_pressure.append(drop)
    await watched(machine, dropped)
    while machine.limiter.pressed:
        machine.limiter.rss = machine.rss
    assert machine.limiter.fits(10)


async def test_one_line_is_written_however_long_it_lasts() -> None:
    machine, looked = Machine(SOFT + 1), Event()
    looks = 0

    def rss() -> int:
        nonlocal looks
        looks += 1
        if looks > 20:
            looked.set()
        return SOFT + 1

    machine.limiter._read = rss
    await watched(machine, looked)
    (line,) = [entry for entry in machine.logs.entries if "memory is short" in entry["event"]]
    assert "memory_limiter" in line["remedy"]
    assert metric(machine.metrics, "openfuse_memory_reclaims_total") >= 1


@pytest.mark.parametrize("trouble", [OSError(24, "Too many open files"), MemoryError(), RuntimeError("unforeseen")])
async def test_memory_that_cannot_be_measured_for_a_moment_is_measured_again(trouble: Exception) -> None:
    """Out of file handles, /proc cannot be read: what was short then must not be short for ever."""
    machine = Machine(SOFT + 1)
    answers = iter([SOFT + 1, SOFT + 1, trouble, 400])
    measured = asyncio.Event()

    def read() -> int:
        answer = next(answers, None)
        if isinstance(answer, Exception):
            raise answer
        if answer is None:
            measured.set()
        return answer or 400

    machine.limiter._read = read
    watch = asyncio.create_task(machine.limiter.watch(0.0))
    async with asyncio.timeout(30):
        await measured.wait()
    watch.cancel()
    assert not machine.limiter.pressed


async def test_memory_that_cannot_be_given_back_is_still_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short of memory, or at the limit of its control group, a process may get no thread to give memory back on."""
    machine, refused = Machine(HARD + 1), asyncio.Event()

    def start(thread: Thread) -> None:
        refused.set()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(Thread, "start", start)
    watch = asyncio.create_task(machine.limiter.watch(0.0))
    async with asyncio.timeout(30):
        await refused.wait()
        machine.rss = 100
        while machine.limiter.pressed:
            assert not watch.done()
            await asyncio.sleep(0)
    monkeypatch.undo()
    watch.cancel()
    assert machine.limiter.fits(10)
    [line] = [entry for entry in machine.logs.entries if "will try again" in entry["event"]]
    assert "new thread" in line["error"]
