"""What the fuzzer starts from: requests of one to three spans, from the shared corpus where it is, else made here."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from benchmarks.agent_traces import requests
from openfuse_collector.pdata import otlp_json, otlp_protobuf
from openfuse_collector.pdata.forms import FORMS, Form

SHARED = Path(os.environ.get("OPENFUSE_SHARED", Path(__file__).resolve().parents[2].parent / "shared"))
Seed = tuple[Form, Any]
"""The form of an export, and its message."""


def corpus_seeds() -> list[Seed]:
    """Small pieces of every captured traces and logs request, in a fixed order; empty where there is no corpus."""
    return [(form, piece) for form in FORMS for whole in _captured(form) for piece in _pieces(form, whole)]


def own_seeds() -> list[Seed]:
    """Agent traces, for a checkout without the corpus."""
    traces = FORMS[0]
    wholes = (ExportTraceServiceRequest.FromString(load.body) for load in requests(140, 14, seed=1))
    return [(traces, piece) for whole in wholes for piece in _pieces(traces, whole)]


def _captured(form: Form) -> Iterator[Any]:
    for path in sorted((SHARED / "corpus").glob(f"*/*/*.{form.signal}.*")):
        decode = otlp_json.decode if path.suffix == ".json" else otlp_protobuf.decode
        yield decode(path.read_bytes(), form).request


def _pieces(form: Form, whole: Any) -> Iterator[Any]:
    """The first three pieces of up to three items of one scope, with their surroundings."""
    resources, scopes, items = form.protobuf
    for group in getattr(whole, resources):
        for scope in getattr(group, scopes):
            held = getattr(scope, items)
            for start in range(0, min(len(held), 9), 3):
                piece = form.request()
                piece_group = getattr(piece, resources).add(schema_url=group.schema_url)
                piece_group.resource.CopyFrom(group.resource)
                piece_scope = getattr(piece_group, scopes).add(schema_url=scope.schema_url)
                piece_scope.scope.CopyFrom(scope.scope)
                getattr(piece_scope, items).extend(held[start : start + 3])
                yield piece


def keys_of(seeds: list[Seed]) -> list[str]:
    """All attribute keys of all seeds: what retyped and moved values are put under."""
    found = {
        pair.key
        for form, request in seeds
        for items in form.groups(request)
        for item in items
        for pair in item.attributes
    }
    return sorted(found)


def chosen(seeds: list[Seed], rng: random.Random) -> Seed:
    """A copy of one seed."""
    form, request = rng.choice(seeds)
    copy = form.request()
    copy.CopyFrom(request)
    return form, copy
