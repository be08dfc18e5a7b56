"""Hypothesis strategies for the event history of one entity: everything that makes a fold depend on order, and more."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from openfuse_collector.events.event import Entity, Event

ENTITIES = {kind: Entity("p1", kind, "e1") for kind in ("trace", "observation", "score", "dataset_run_item")}
TIMESTAMPS = (
    "2026-01-15T12:00:00Z",
    "2026-01-15T12:00:00.000Z",
    "2026-01-15T12:00:00.0001Z",
    "2026-01-15T12:00:00.000100001Z",
    "2026-01-15T13:00:00.1+01:00",
    "2026-01-15T11:59:59.999999999Z",
    "2026-01-15T12:00Z",
    "1970-01-01T00:00:00.012Z",
    "never",
)
TYPES = {
    "trace": ("trace-create",),
    "observation": ("span-create", "span-update", "generation-create", "generation-update", "observation-update"),
    "score": ("score-create", "score-snapshot"),
    "dataset_run_item": ("dataset-run-item-create",),
}

texts = st.sampled_from(("", "a", "b", "ü", "\U0001f600", "￿"))
wrong = st.sampled_from((None, 0, 1, 2.5, True, [], {}, ["x"], {"k": 1}))
names = st.sampled_from(("k", "l", "0"))
leaves = st.one_of(st.none(), st.booleans(), st.integers(0, 3), texts)
nested = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
colliding: st.SearchStrategy[Any] = st.deferred(
    lambda: (
        st.integers(0, 3)
        | st.fixed_dictionaries({}, optional={"k": colliding, "l": st.integers(0, 3)})
        | st.lists(colliding, max_size=2)
    )
)
"""Values that meet at the same few paths, deep ones, as different kinds."""
metadata = nested | st.dictionaries(names, nested, max_size=3) | st.fixed_dictionaries({"k": colliding})
times = st.sampled_from(TIMESTAMPS)
numbers = st.one_of(st.integers(-1, 5), st.floats(-1, 2, allow_nan=False), st.none(), texts)
maps = st.dictionaries(st.sampled_from(("input", "output", "total", "cached")), numbers, max_size=3)

FIELDS: dict[str, dict[str, st.SearchStrategy[Any]]] = {
    "trace": {
        **dict.fromkeys(("name", "userId", "sessionId", "environment"), texts | wrong),
        "timestamp": times | wrong,
        "tags": st.lists(texts | st.integers(), max_size=3) | wrong,
        "otherwise": st.fixed_dictionaries(
            {}, optional={"userId": texts | wrong, "sessionId": texts, "tags": st.lists(texts, max_size=2) | wrong}
        )
        | wrong,
        **dict.fromkeys(("public", "bookmarked"), st.booleans() | wrong),
        **dict.fromkeys(("input", "output"), nested),
        "metadata": metadata,
    },
    "observation": {
        **dict.fromkeys(("name", "traceId", "environment", "model", "statusMessage", "version"), texts | wrong),
        **dict.fromkeys(("startTime", "endTime", "completionStartTime"), times | wrong),
        "level": st.sampled_from(("ERROR", "DEFAULT", "loud")) | wrong,
        "type": st.sampled_from(("GENERATION", "SPAN", "odd")) | wrong,
        **dict.fromkeys(("input", "output"), nested),
        "metadata": metadata,
        "modelParameters": st.dictionaries(names, leaves, max_size=2) | wrong,
        **dict.fromkeys(("usage", "usageDetails", "costDetails"), maps | wrong),
        "promptName": texts | wrong,
        "promptVersion": st.integers(0, 3) | wrong,
    },
    "score": {
        **dict.fromkeys(("name", "traceId", "sessionId", "comment", "environment", "configId"), texts | wrong),
        "value": st.sampled_from((0, 1, 0.5, "good", True, None)),
        "dataType": st.sampled_from(("NUMERIC", "CATEGORICAL", "BOOLEAN", "TEXT", "CORRECTION", None)),
        "metadata": metadata,
        "createdAt": times,
        "timestamp": times,
    },
    "dataset_run_item": {"datasetId": texts, "createdAt": times, "error": texts | wrong},
}


@st.composite
def histories(draw: st.DrawFn, entity_type: str | None = None) -> list[Event]:
    """Up to eight deliveries of one entity and up to four more copies of them, in no particular order.

    One id may come with different contents at different times; copies of one receive time are identical.
    """
    kind = entity_type or draw(st.sampled_from(tuple(TYPES)))
    events = draw(st.lists(event(kind), max_size=8, unique_by=lambda one: (one.id, one.ingested_at)))
    deliveries = {(one.id, one.ingested_at): one for one in events}
    for index, shift in draw(st.lists(st.tuples(st.integers(0, 7), st.integers(-3, 3)), max_size=4)):
        if index < len(events):
            copy = _replaced(events[index], max(0, events[index].ingested_at + shift))
            events.append(deliveries.setdefault((copy.id, copy.ingested_at), copy))
    return draw(st.permutations(events))


@st.composite
def event(draw: st.DrawFn, kind: str) -> Event:
    """One event of the entity `e1`: live, shallow, derived by some mapping, a remark, or a tombstone."""
    id_ = draw(st.sampled_from([f"ev{n}" for n in range(12)]))
    arrived = draw(st.integers(10, 16))
    if draw(st.integers(0, 7)) == 0:
        return Event(ENTITIES[kind], id_, "langfuse-tombstone", draw(times), {"id": "e1"}, arrived)
    body = draw(st.fixed_dictionaries({"id": st.just("e1")}, optional=FIELDS[kind]))
    type_ = draw(st.sampled_from(TYPES[kind]))
    return Event(ENTITIES[kind], id_, type_, draw(times), body, arrived, draw(_metadata(kind)))


@st.composite
def _metadata(draw: st.DrawFn, kind: str) -> Any:
    choice = draw(st.integers(0, 9))
    if choice < 5:
        return draw(st.sampled_from((None, None, {"sdk": "x"}, 5, ["source"])))
    if choice == 5 and kind == "trace":
        return {"shallow": True}
    derived = {"source": draw(st.sampled_from(("s1", "s2", "s3"))), "mapping": draw(st.integers(1, 3))}
    return {**derived, "remark": True} if choice > 7 else derived


def _replaced(original: Event, ingested_at: int) -> Event:
    return Event(
        original.entity, original.id, original.type, original.timestamp, original.body, ingested_at, original.metadata
    )
