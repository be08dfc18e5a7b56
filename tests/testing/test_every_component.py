"""The contract checks over every component there is: a table, and a test that nothing is missing from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from openfuse_collector.component import Kind
from openfuse_collector.components import Offer, factory, offers
from openfuse_collector.connectors.genai.config import GenAIConfig
from openfuse_collector.signals import Signal
from openfuse_collector.testing import check_connector
from tests.testing import exporter_checks, receiver_checks
from tests.testing.receiver_checks import JSON, PROTOBUF
from tests.testing.registered import Component, forgotten, own

Check = Callable[[Path, pytest.MonkeyPatch], None]


def genai(signal: Signal) -> None:
    check_connector(
        lambda settings: factory(Kind.CONNECTOR, "genai").create(settings, GenAIConfig()),
        signal=signal,
    )


def alone(check: Callable[[], None]) -> Check:
    """A check that needs nothing."""
    return lambda path, monkeypatch: check()


CHECKS: dict[Component, dict[str, Check]] = {
    (Kind.RECEIVER, "otlp"): {
        "grpc": alone(receiver_checks.otlp_grpc),
        "http protobuf": alone(partial(receiver_checks.otlp_http, Signal.TRACES, PROTOBUF)),
        "http json": alone(partial(receiver_checks.otlp_http, Signal.TRACES, JSON)),
        "http logs": alone(partial(receiver_checks.otlp_http, Signal.LOGS, PROTOBUF)),
    },
    (Kind.RECEIVER, "langfuse"): {"ingestion": alone(receiver_checks.langfuse)},
    (Kind.CONNECTOR, "genai"): {
        "traces": alone(partial(genai, Signal.TRACES)),
        "logs": alone(partial(genai, Signal.LOGS)),
    },
    (Kind.EXPORTER, "sqlite"): {"file": exporter_checks.sqlite},
    (Kind.EXPORTER, "greptimedb"): {"double": alone(exporter_checks.greptimedb)},
    (Kind.EXPORTER, "debug"): {"terminal": lambda path, monkeypatch: exporter_checks.debug(monkeypatch)},
}
"""Component -> its checks, by name."""

NOTHING_PASSES = "no telemetry passes through it"
EXEMPT: dict[Component, str] = {
    (Kind.EXTENSION, "api_keys"): NOTHING_PASSES,
    (Kind.EXTENSION, "pricing"): NOTHING_PASSES,
    (Kind.EXTENSION, "tokenizers"): NOTHING_PASSES,
    (Kind.EXTENSION, "score_configs"): NOTHING_PASSES,
    (Kind.EXTENSION, "health_check"): NOTHING_PASSES,
}
"""Component -> why there is nothing to check but its life."""


def test_no_component_is_forgotten() -> None:
    assert forgotten(own(offers()), CHECKS, EXEMPT) == []
    assert all(CHECKS.values()) and all(EXEMPT.values())


def test_a_forgotten_component_is_found() -> None:
    registered = own([*offers(), Offer(Kind.EXPORTER, "kafka", "openfuse_collector.exporters.kafka:FACTORY", "")])
    assert forgotten(registered, CHECKS, EXEMPT) == [(Kind.EXPORTER, "kafka")]
    assert forgotten(own(offers()), CHECKS, {}) == sorted(EXEMPT)


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{kind.value.removesuffix('s')} {type}, {name}")
        for (kind, type), checks in CHECKS.items()
        for name, check in checks.items()
    ],
)
def test_the_contract(check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check(tmp_path, monkeypatch)
