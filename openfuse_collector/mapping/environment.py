"""The environment of a trace: which attribute says it, and how it has to look."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from openfuse_collector.events.remembered import Remembered
from openfuse_collector.mapping import rules
from openfuse_collector.mapping.coercion import truthy
from openfuse_collector.mapping.span_view import SpanView
from openfuse_collector.mapping.vocabularies import openrouter

DEFAULT = "default"
_RESERVED = re.compile(r"^(langfuse[-_]?)+")
_VALID = re.compile(r"[a-z0-9_-]+")
_LONGEST = 40


def normal_environment(name: str) -> str:
    """Lower-cased, without the reserved prefix, at most 40 characters of a-z 0-9 - _; else `default`."""
    return _NORMAL[name]


def _normal(name: str) -> str:
    cut = _RESERVED.sub("", name.lower())[:_LONGEST]
    return cut if _VALID.fullmatch(cut) else DEFAULT


_NORMAL: Remembered[str, str] = Remembered(_normal, len, most=1024, largest=256)


def written_environment(attributes: Mapping[str, Any], resource: Mapping[str, Any]) -> str | None:
    """The environment as attributes give it, normalised; None when they are silent. A span beats its resource per key."""
    for key in rules.ENVIRONMENT:
        for source in (attributes, resource):
            value = source.get(key)
            if value is not None and truthy(value):
                return normal_environment(value) if isinstance(value, str) else DEFAULT
    return None


def environment_of(span: SpanView) -> str:
    """The environment of a span's trace and observation."""
    around = span.surroundings
    environment = around.environment
    if span.shape.environment:
        environment = written_environment(span.attributes, around.resource)
    if environment is not None:
        return environment
    if around.resource.get("service.name") != openrouter.SERVICE:
        return DEFAULT
    recovered = openrouter.evaluator_environment(span)
    return DEFAULT if recovered is None else normal_environment(recovered)
