"""Which SDK sent a request, as its headers say; with OTLP as with the Langfuse API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from openfuse_collector.events.text import clean

UNKNOWN = "unknown"


class Sdk(NamedTuple):
    """Name and version of a client library, `unknown` where it does not say."""

    name: str
    version: str


def sdk_of(headers: Mapping[str, str]) -> Sdk:
    """Some SDKs (Python 2, JavaScript 4) write the headers with underscores, the others with hyphens."""
    return Sdk(_header(headers, "name"), _header(headers, "version"))


def _header(headers: Mapping[str, str], what: str) -> str:
    """Headers may be any bytes; those that are no UTF-8 come as lone surrogates (PEP 383), which the journal could not write."""
    return clean(headers.get(f"x-langfuse-sdk-{what}") or headers.get(f"x_langfuse_sdk_{what}") or UNKNOWN)
