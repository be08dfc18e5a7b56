"""Several endpoints: what one of them does not answer, another one does."""

from __future__ import annotations

import socket

import pytest
from greptimedb_kit import Server, export, exporter

from openfuse_collector.config.types import Address, Duration
from openfuse_collector.errors import RetryableError
from tests.builders import event

ATTEMPTS = 20


@pytest.mark.parametrize("setting", ["endpoints", "http_endpoints"])
def test_the_next_endpoint_is_used_when_one_takes_calls_and_never_answers(faulty: Server, setting: str) -> None:
    with exporter(faulty) as made:
        export(made, [event("o1", id="1")])
    works = faulty.grpc if setting == "endpoints" else faulty.http
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hangs = Address(f"127.0.0.1:{silent.getsockname()[1]}")
        with exporter(faulty, timeout=Duration(1), **{setting: (hangs, works)}) as made:
            for _ in range(ATTEMPTS):  # each thread has to find it out for itself
                try:
                    export(made, [event("o2", id="2")])
                    break
                except RetryableError:
                    continue
    assert [row["id"] for row in faulty.table("observations")] == ["o1", "o2"]
