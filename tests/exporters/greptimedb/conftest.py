"""The servers the tests run against: the double always, a real one where the environment names it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from greptimedb_kit import REAL, Server

from tests.greptimedb_double import Double

NAMED = all(REAL.values())
real = pytest.param(
    "real",
    marks=[
        pytest.mark.greptimedb,
        pytest.mark.skipif(not NAMED, reason="NO GREPTIMEDB: set GREPTIMEDB_HTTP and GREPTIMEDB_GRPC to host:port"),
    ],
)


@pytest.fixture(scope="module")
def running_double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture(params=["double", real])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A database of its own, on each kind of server."""
    if request.param == "double":
        double: Double = request.getfixturevalue("running_double")
        made = Server(double.grpc, double.http, double)
        yield made
        made.sql.close()
        return
    made = Server(REAL["GREPTIMEDB_GRPC"], REAL["GREPTIMEDB_HTTP"])
    yield made
    made.sql.run(f"DROP DATABASE IF EXISTS {made.database}", "public")
    made.sql.close()


@pytest.fixture
def faulty() -> Iterator[Server]:
    """A double of its own, for faults."""
    with Double() as double:
        made = Server(double.grpc, double.http, double)
        double.database = made.database
        yield made
        made.sql.close()
