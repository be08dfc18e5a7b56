"""The stores commands are tested on: both of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from operations_kit import GreptimedbKit, SqliteKit, StoreKit

from tests.greptimedb_double import Double


@pytest.fixture(scope="module")
def running_double() -> Iterator[Double]:
    with Double() as double:
        yield double


@pytest.fixture
def greptimedb(running_double: Double) -> Iterator[GreptimedbKit]:
    """A store in a database of its own."""
    kit = GreptimedbKit(running_double)
    yield kit
    kit.sql.close()


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteKit:
    """A store in a file of its own."""
    return SqliteKit(tmp_path)


@pytest.fixture(params=["sqlite", "greptimedb"])
def kit(request: pytest.FixtureRequest) -> StoreKit:
    """Each store in turn."""
    made: StoreKit = request.getfixturevalue(request.param)
    return made
