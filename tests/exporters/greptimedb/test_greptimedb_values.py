"""Values as the client wants them, calls of bounded size, and side rows by Openfuse's own cases."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pytest

from openfuse_collector.events.columns import DEFAULTS, PROJECTIONS
from openfuse_collector.events.rows import row
from openfuse_collector.exporters.greptimedb.rows import chunks, decimal, double, projection_row
from openfuse_collector.exporters.greptimedb.schema import TABLES
from openfuse_collector.exporters.greptimedb.side_tables import SIDE_TABLES, side_rows
from tests.events.shared_cases import needs_shared, openfuse_cases

TYPES = {table: kind for kind, table in PROJECTIONS.items()}


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (0.1, "0.100000000000"),
        (1e-12, "0.000000000001"),
        (1e-13, "0.000000000000"),
        (3, "3.000000000000"),
        (123456789012345678, "123456789012345678.000000000000"),
        (1e25, "10000000000000000000000000.000000000000"),
        (1e26, None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_costs_are_exact_decimals(value: Any, stored: str | None) -> None:
    assert decimal(value) == (None if stored is None else Decimal(stored))


@pytest.mark.parametrize(
    ("value", "stored"), [(1, 1.0), (0.5, 0.5), (True, 1.0), (math.nan, None), (-math.inf, None), (10**400, None)]
)
def test_doubles_are_finite(value: Any, stored: float | None) -> None:
    assert double(value) == stored


@pytest.mark.parametrize(
    ("column", "value", "stored"),
    [
        ("input_usage", 7, 7),
        ("input_usage", 7.6, 8),
        ("input_usage", 2**63, None),
        ("input_usage", math.inf, None),
        ("prompt_version", 2**31, None),
        ("prompt_version", 3, 3),
        ("is_deleted", 0, False),
        ("end_time", 12, 12),
        ("name", None, None),
    ],
)
def test_numbers_fit_their_columns(column: str, value: Any, stored: Any) -> None:
    values = {**row("observation", {**DEFAULTS["observation"], "project_id": "p", "id": "o"}), column: value}
    made = projection_row("observation", values)
    at = [each.name for each in TABLES["observations"].columns].index(column)
    assert made[at] == stored
    assert type(made[at]) is type(stored)


def test_calls_are_bounded_by_rows_and_by_bytes() -> None:
    assert [len(chunk) for chunk in chunks([["x"]] * 25, 10, 1000)] == [10, 10, 5]
    assert [len(chunk) for chunk in chunks([["x" * 40, None, 1]] * 5, 10, 100)] == [2, 2, 1]
    assert [len(chunk) for chunk in chunks([["x"], ["x" * 500], ["x"]], 10, 100)] == [1, 1, 1]
    assert list(chunks([], 10, 100)) == []


def fanned_out(case: dict[str, Any], kind: str) -> dict[str, list[dict[str, Any]]]:
    """Side rows by table, of a case's record as a projector's row."""
    record = {**DEFAULTS[kind], "project_id": "p1", "id": "e", **case["record"], "is_deleted": False}
    record["eav_generation"] = case.get("generation", 0)
    values = row(kind, record)
    made = {side.name: list(side_rows(kind, side, values)) for side in SIDE_TABLES[kind]}
    names = {name: [column.name for column in TABLES[name].columns] for name in made}
    return {name: [dict(zip(names[name], each, strict=True)) for each in rows] for name, rows in made.items() if rows}


def _kind(case: dict[str, Any]) -> str:
    return TYPES[case["input"].get("table", "observations")] if "tags" not in case["input"]["record"] else "trace"


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("case", openfuse_cases("fanout"), ids=lambda case: case["name"])
def test_fan_out_is_that_of_openfuse(case: dict[str, Any]) -> None:
    """Where it writes rows of deleted entities with is_deleted, ours are removed: that case shows the live rows here."""
    kind, expected = _kind(case), case["expect"]
    made = fanned_out(case["input"], kind)
    if "tables" in expected:
        assert [PROJECTIONS[kind], *made] == expected["tables"]
    for table, wanted in expected.items():
        if table in made:
            assert [
                {name: found[name] for name in one} for found, one in zip(made[table], wanted, strict=True)
            ] == wanted
    for name in ("tool_definitions", "tool_calls"):
        if name in expected:
            assert [found["tool_name"] for found in made[f"observations_{name}"]] == expected[name]
    if "tool_rows" in expected:
        assert sum(map(len, made.values())) == expected["tool_rows"]


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("case", openfuse_cases("usage_cost_rows"), ids=lambda case: case["name"])
def test_usage_and_cost_rows_are_those_of_openfuse(case: dict[str, Any]) -> None:
    values = {
        "usage_details": json.dumps(case["input"]["usage"] or {}, separators=(",", ":")),
        "cost_details": json.dumps(case["input"]["cost"] or {}, separators=(",", ":")),
    }
    (side,) = (side for side in SIDE_TABLES["observation"] if side.name == "observations_usage_cost")
    assert [list(keys) for keys in side.keys(values)] == case["expect"]["rows"]
