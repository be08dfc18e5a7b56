"""The worker threads: queries side by side, and their end when the server hangs."""

from __future__ import annotations

import pytest
from greptimedb_kit import Server

from openfuse_collector.config.types import Duration
from openfuse_collector.exporters.greptimedb.errors import CallError
from openfuse_collector.exporters.greptimedb.ingest import Ingester
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from openfuse_collector.exporters.greptimedb.writer import Writer
from tests.greptimedb_double import faults

QUERIES = 40


def test_answers_come_in_the_order_of_the_queries(faulty: Server) -> None:
    config = faulty.config(database="public")
    writer = Writer(config, SqlClient(config), Ingester(config))
    try:
        answers = writer.ask([f"SELECT {number}" for number in range(QUERIES)])
    finally:
        writer.close()
    assert list(answers) == [[[number]] for number in range(QUERIES)]


def test_a_server_that_hangs_is_not_asked_everything_else(faulty: Server) -> None:
    config = faulty.config(timeout=Duration(0.3))
    writer = Writer(config, SqlClient(config), Ingester(config))
    faulty.double.fail(stuck := faults.stuck().over("http"))
    try:
        with pytest.raises(CallError, match="no answer"):
            writer.ask([f"SELECT {number}" for number in range(QUERIES)])
        assert 0 < faulty.double.struck(stuck) <= QUERIES // 2
    finally:
        faulty.double.heal()
        writer.close()
