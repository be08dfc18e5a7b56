"""Openfuse's side tables: what can be filtered by lives in rows of its own, one per key, tag or tool.

The generation of a row says whether it still counts: readers take those whose generation is that of the projection row. So a key
that an entity loses needs no delete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from openfuse_collector.events.columns import TIME_COLUMN
from openfuse_collector.exporters.greptimedb.rows import Row

_texts = msgspec.json.Decoder(dict[str, str]).decode
_any = msgspec.json.Decoder().decode

AGGREGATED = frozenset(("input", "output", "total"))
"""Usage and cost keys that dashboards read from columns of the projection."""

Keys = Callable[[Mapping[str, Any]], Iterator[tuple[Any, ...]]]
"""Projection row -> what a side row has between entity and `is_deleted`: key and value, or a name alone."""


def _metadata(row: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    text = row["metadata"]
    return iter(()) if text == "{}" else iter(_texts(text).items())


def _tags(row: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    text = row["tags"]
    return iter(()) if text == "[]" else ((tag,) for tag in _any(text))


def _usage_and_cost(row: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for kind, column in (("usage", "usage_details"), ("cost", "cost_details")):
        text = row[column]
        if text != "{}":
            for key, value in _any(text).items():
                if key not in AGGREGATED and type(value) in (int, float) and isfinite(number := _float(value)):
                    yield kind, key, number


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _tool_definitions(row: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    text = row["tool_definitions"]
    return iter(()) if text == "{}" else ((name,) for name in _any(text))


def _tool_calls(row: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    text = row["tool_call_names"]
    return iter(()) if text == "[]" else ((name,) for name in dict.fromkeys(_any(text)))


class SideTable(NamedTuple):
    """A side table and where its rows come from."""

    name: str
    keys: Keys


SIDE_TABLES: dict[str, tuple[SideTable, ...]] = {
    "trace": (SideTable("traces_metadata", _metadata), SideTable("traces_tags", _tags)),
    "observation": (
        SideTable("observations_metadata", _metadata),
        SideTable("observations_usage_cost", _usage_and_cost),
        SideTable("observations_tool_definitions", _tool_definitions),
        SideTable("observations_tool_calls", _tool_calls),
    ),
    "score": (SideTable("scores_metadata", _metadata),),
    "dataset_run_item": (),
}
"""Entity type -> the side tables it is written to."""

EMPTIED: dict[str, tuple[str, ...]] = {
    "trace": ("traces_metadata", "traces_tags"),
    "observation": (*(table.name for table in SIDE_TABLES["observation"]), "observations_tags"),
    "score": ("scores_metadata", "scores_tags"),
    "dataset_run_item": (),
}
"""Entity type -> the side tables its rows are deleted from, those nobody writes included."""


def side_rows(entity_type: str, table: SideTable, row: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of one entity in a side table, in the order of its columns."""
    head = [row[TIME_COLUMN[entity_type]], row["project_id"], row["id"]]
    tail = [False, row["eav_generation"]]
    for keys in table.keys(row):
        yield [*head, *keys, *tail]
