"""Messages of unknown size: who may read one when, and that memory stays bounded whatever arrives at once."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from google.rpc.code_pb2 import Code
from otlp_harness import ANYWHERE, EXPORT, RecordingIntake, Start, export, send_grpc

from openfuse_collector.errors import OverloadError
from openfuse_collector.receivers.otlp import reads
from openfuse_collector.receivers.otlp.config import GrpcConfig
from openfuse_collector.receivers.otlp.reads import Reads
from openfuse_collector.receivers.requests.in_flight import InFlight

MIB = 1024 * 1024


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0)


class Reader:
    """A call that reads until it is told to finish."""

    def __init__(self, turns: Reads) -> None:
        self.reading = False
        self.finish = asyncio.Event()
        self.task = asyncio.create_task(self._run(turns))

    async def _run(self, turns: Reads) -> None:
        async with turns.turn():
            self.reading = True
            await self.finish.wait()

    async def end(self) -> None:
        self.finish.set()
        await self.task


async def some(turns: Reads, count: int) -> list[Reader]:
    readers = [Reader(turns) for _ in range(count)]
    await asyncio.sleep(0)
    return readers


def reading(readers: list[Reader]) -> list[int]:
    return [index for index, reader in enumerate(readers) if reader.reading]


async def test_as_many_read_as_there_is_room_for_the_largest_and_the_others_in_order() -> None:
    readers = await some(Reads(InFlight(250), 100), 4)
    assert reading(readers) == [0, 1]
    await readers[1].end()
    await until(lambda: reading(readers) == [0, 1, 2])
    await readers[0].end()
    await until(lambda: reading(readers) == [0, 1, 2, 3])
    for reader in readers:
        await reader.end()


async def test_one_reads_even_where_the_largest_would_not_fit() -> None:
    in_flight = InFlight(100)
    with in_flight.hold() as hold:
        hold.resize(60)
        readers = await some(Reads(in_flight, 100), 2)
        assert reading(readers) == [0]
        await readers[0].end()
        await until(lambda: reading(readers) == [0, 1])
        await readers[1].end()


async def test_room_that_others_give_back_is_used() -> None:
    in_flight = InFlight(300)
    with in_flight.hold() as hold:
        hold.resize(150)
        readers = await some(Reads(in_flight, 100), 3)
        assert reading(readers) == [0]
    await until(lambda: reading(readers) == [0, 1, 2])
    for reader in readers:
        await reader.end()


async def test_nobody_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "PATIENCE", 0.02)
    readers = await some(Reads(InFlight(100), 100), 3)
    for waiting in readers[1:]:
        with pytest.raises(OverloadError, match="max_in_flight 100") as raised:
            await waiting.task
        assert raised.value.after
    await readers[0].end()


async def test_a_stalled_read_makes_way_for_one_who_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "UNDISTURBED", 0.02)
    readers = await some(Reads(InFlight(100), 100), 2)
    with pytest.raises(OverloadError, match="did not arrive in time"):
        await readers[0].task
    await until(lambda: readers[1].reading)
    await readers[1].end()


async def test_a_slow_read_is_left_alone_when_nobody_waits_any_more() -> None:
    turns = Reads(InFlight(200), 100)
    slow, quick, third = await some(turns, 3)
    ends = [turn.when() for turn in turns._turns]
    assert ends[0] is not None and ends[1] is None
    await quick.end()
    await third.end()
    assert [turn.when() for turn in turns._turns] == [None]
    await slow.end()


@pytest.mark.parametrize("called", [False, True], ids=["waiting", "called"])
async def test_one_who_leaves_the_queue_takes_no_turn_along(called: bool) -> None:
    readers = await some(Reads(InFlight(100), 100), 3)
    if called:
        readers[0].finish.set()
        await asyncio.sleep(0)  # its turn has come, and it has not run since
    readers[1].task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await readers[1].task
    await readers[0].end()
    await until(lambda: readers[2].reading)
    await readers[2].end()
    assert not readers[1].reading


async def test_too_many_do_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "MOST_WAITING", 1)
    readers = await some(Reads(InFlight(100), 100), 3)
    with pytest.raises(OverloadError):
        await readers[2].task
    await readers[0].end()
    await until(lambda: readers[1].reading)
    await readers[1].end()


async def test_calls_that_send_nothing_do_not_keep_others_out(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reads, "UNDISTURBED", 0.05)
    running = await start(grpc=GrpcConfig(ANYWHERE, max_recv_msg_size_mib=1), max_in_flight=MIB)
    async with grpc.aio.insecure_channel(running.grpc) as channel:
        silent = channel.stream_unary(EXPORT)()
        await silent.wait_for_connection()
        answer = await send_grpc(running.grpc, export().SerializeToString())
        while answer.code == Code.UNAVAILABLE:  # the silent call may have come second
            answer = await send_grpc(running.grpc, export().SerializeToString())
        assert answer.ok
        silent.cancel()


def resident() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Forgetful(RecordingIntake):
    """Keeps nothing, and remembers how large the process was."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = 0

    async def accept(self, origin: Any, payload: bytes, data: Any, items: int) -> None:
        self.peak = max(self.peak, resident())
        await super().accept(origin, payload, data, items)
        self.kept.clear()


SENDERS = """
import asyncio, sys
from otlp_harness import export, send_grpc

async def main(address, count):
    body = export(1, padding=16 << 20).SerializeToString()
    answers = await asyncio.gather(*(send_grpc(address, body, "gzip") for _ in range(count)))
    print(sorted({answer.code for answer in answers}))

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def send(address: str, count: int) -> list[int]:
    """Codes of the answers to as many calls at once, from a process of their own: only the receiver's memory counts here."""
    path = os.pathsep.join((str(Path(__file__).parent), str(Path.cwd()), *sys.path))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SENDERS, address, str(count), stdout=PIPE, env={**os.environ, "PYTHONPATH": path}
    )
    output, _ = await process.communicate()
    codes: list[int] = json.loads(output)
    return codes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("refused", [False, True], ids=["taken", "refused"])
async def test_memory_is_bounded_however_many_send_large_messages(start: Start, refused: bool) -> None:
    """24 messages of 16 MiB that are 16 KiB on the wire, 384 MiB in all. Several times the size of one is used to read and decode it."""
    intake = Forgetful()
    running = await start(grpc=GrpcConfig(ANYWHERE, max_recv_msg_size_mib=17), max_in_flight=17 * MIB, intake=intake)
    intake.before = overloaded if refused else intake.before
    gc.disable()  # nothing may wait for it: it comes late
    try:
        await send(running.grpc, 1)
        before = resident()
        codes = await send(running.grpc, 24)
        after = resident()
    finally:
        gc.enable()
    assert set(codes) <= {Code.OK, Code.UNAVAILABLE} and (Code.OK in codes) is not refused
    assert after - before < 64 * MIB and intake.peak - before < 128 * MIB


def overloaded() -> None:
    raise OverloadError("the journal is full")
