"""The health endpoint follows the state of the service."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import aiohttp
import pytest

from openfuse_collector.component import Health
from openfuse_collector.config.types import Duration
from openfuse_collector.errors import CollectorError
from openfuse_collector.extensions.health_check.config import HealthCheckConfig
from openfuse_collector.extensions.health_check.extension import HealthCheck
from tests.builders import free_address, settings


async def test_status_follows_the_service() -> None:
    health, address = Health(), free_address()
    extension = HealthCheck(
        dataclasses.replace(settings("health_check"), health=health), HealthCheckConfig(endpoint=address)
    )
    await extension.start()
    async with aiohttp.ClientSession() as client:
        statuses = []
        for ready in (False, True, False):
            health.set(ready)
            async with client.get(f"http://{address}/") as answer:
                statuses.append(answer.status)
                assert set(await answer.json()) == {"status", "upSince", "uptime"}
        async with client.get(f"http://{address}/other") as answer:
            assert answer.status == 404
    await extension.shutdown()
    await extension.shutdown()
    assert statuses == [503, 200, 503]


async def test_a_busy_address_is_named() -> None:
    address = free_address()
    first = HealthCheck(settings("health_check"), HealthCheckConfig(endpoint=address))
    second = HealthCheck(settings("health_check"), HealthCheckConfig(endpoint=address))
    await first.start()
    with pytest.raises(CollectorError, match=str(address)):
        await second.start()
    await second.shutdown()
    await first.shutdown()


async def answers(health: Health, config: HealthCheckConfig, *paths: str) -> list[tuple[int, dict[str, Any]]]:
    extension = HealthCheck(dataclasses.replace(settings("health_check"), health=health), config)
    await extension.start()
    try:
        async with aiohttp.ClientSession() as client:
            found = []
            for path in paths:
                async with client.get(f"http://{config.endpoint}{path}") as answer:
                    found.append((answer.status, await answer.json() if answer.status != 404 else {}))
            return found
    finally:
        await extension.shutdown()


@pytest.mark.parametrize(("lasted", "status"), [(5.0, 200), (60.0, 503)])
async def test_a_journal_that_refuses_for_longer_than_the_grace_is_not_well(lasted: float, status: int) -> None:
    health = Health()
    health.set(ready=True)
    health.trouble = lambda: ("max_size: the journal is full", time.time() - lasted)
    ((found, body),) = await answers(health, HealthCheckConfig(endpoint=free_address(), grace=Duration(30)), "/")
    assert found == status
    assert body.get("reason") == (None if status == 200 else "max_size: the journal is full")


async def test_the_state_is_shown_whatever_it_is() -> None:
    health = Health()
    health.status = lambda: {"state": "refusing"}
    assert await answers(health, HealthCheckConfig(endpoint=free_address()), "/status") == [
        (200, {"state": "refusing"})
    ]
    closed = HealthCheckConfig(endpoint=free_address(), status_path="")
    assert [status for status, _ in await answers(health, closed, "/status")] == [404]


def test_paths_must_differ() -> None:
    assert list(HealthCheckConfig(path="/status").validate()) == ["status_path must differ from path"]
