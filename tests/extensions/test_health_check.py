"""The health endpoint follows the state of the service."""

from __future__ import annotations

import dataclasses

import aiohttp
import pytest

from openfuse_collector.component import Health
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
