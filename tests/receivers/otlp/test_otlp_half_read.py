"""Requests that have not arrived when the collector shuts down: their senders are told to come again, without waiting for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio
import pytest
from otlp_harness import EXPORT, PROTOBUF, Running, export
from test_otlp_http_wire import Raw, connect, head

from openfuse_collector.receivers.otlp import grpc as grpc_module
from openfuse_collector.receivers.requests import server as http_module


@asynccontextmanager
async def half(running: Running) -> AsyncIterator[tuple[Raw, bytes]]:
    """A connection on which the first half of a request was sent and has been read, and the other half."""
    body = export().SerializeToString()
    raw = await connect(running)
    raw.writer.write(head(f"Content-Length: {len(body)}") + body[: len(body) // 2])
    async with asyncio.timeout(30):
        while not running.receiver._shared.in_flight.used:
            await asyncio.sleep(0)
    yield raw, body[len(body) // 2 :]
    raw.writer.close()
    await raw.writer.wait_closed()


async def test_a_half_read_body_is_answered_with_a_retryable_status(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_module, "GRACE", 1e6)
    async with half(running) as (raw, _):
        async with asyncio.timeout(60):
            await running.receiver.shutdown()
        status, _, headers = await raw.answer()
    assert (status, headers["Content-Type"]) == (503, PROTOBUF)
    assert int(headers["Retry-After"]) >= 1
    assert not running.intake.kept


async def test_a_body_that_arrives_in_the_last_moment_is_kept(running: Running) -> None:
    async with half(running) as (raw, rest):
        shutdown = asyncio.create_task(running.receiver.shutdown())
        await asyncio.sleep(0)
        raw.writer.write(rest)
        assert (await raw.answer())[0] == 200
        await shutdown
    assert len(running.intake.kept) == 1


async def test_a_call_whose_message_does_not_come_is_answered_with_a_retryable_status(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_module, "GRACE", 1e6)
    never = asyncio.Event()

    async def messages() -> AsyncIterator[bytes]:
        await never.wait()
        yield b""

    async with grpc.aio.insecure_channel(running.grpc) as channel:
        call = channel.stream_unary(EXPORT)(messages())
        server = running.receiver._servers["grpc"]
        async with asyncio.timeout(30):
            while not server._reads._turns:  # type: ignore[union-attr]
                await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await running.receiver.shutdown()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert "shutting down" in await call.details()
