"""What each answer of client and server means, and settings that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from openfuse_collector.config.types import Duration, Secret, Size
from openfuse_collector.errors import CollectorError, PermanentError, RetryableError, SuspectError
from openfuse_collector.exporters.greptimedb import FACTORY
from openfuse_collector.exporters.greptimedb.config import GreptimedbConfig, SettleConfig, TlsConfig
from openfuse_collector.exporters.greptimedb.errors import CallError, Cause, cause_of, cause_of_status, consume_error
from openfuse_collector.exporters.greptimedb.sql import SqlClient
from tests.events.shared_cases import needs_shared, openfuse_cases

README = Path(__file__).parents[3] / "openfuse_collector" / "exporters" / "greptimedb" / "README.md"


def said(phrase: str, message: str = "injected") -> str:
    """An error's text as the client words it."""
    return f"code: '{phrase}', message: \"{message}\""


NO_TABLE = "Invalid insert request, reason: Table `traces` does not exist, and `auto_create_table` hint is disabled"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (said("The service is currently unavailable", "tcp connect error"), Cause.UNREACHABLE),
        (said("Some resource has been exhausted", "Region is busy"), Cause.BUSY),
        (said("Some resource has been exhausted", "message length too large"), Cause.TOO_LARGE),
        (said("Operation was attempted past the valid range", "decoded message length too large"), Cause.TOO_LARGE),
        (said("The operation was cancelled", "Timeout expired"), Cause.UNCLEAR),
        (said("Deadline expired before operation could complete"), Cause.UNCLEAR),
        (said("Unknown error", "transport error"), Cause.UNCLEAR),
        (said("Unknown error", "h2 protocol error: error reading a body from connection"), Cause.UNCLEAR),
        (said("Unknown error", "Service was not ready: transport error"), Cause.CLIENT),
        (said("Unknown error"), Cause.SERVER),
        (said("Internal error", "Failed to write WAL: No space left on device"), Cause.SERVER),
        (said("A phrase of tomorrow"), Cause.SERVER),
        (said("Operation is not implemented or not supported"), Cause.SERVER),
        (said("Client specified an invalid argument"), Cause.ROWS),
        (said("Client specified an invalid argument", NO_TABLE), Cause.SCHEMA),
        (said("Client specified an invalid argument", "Column eav_generation not found in table traces"), Cause.SCHEMA),
        (said("Client specified an invalid argument", "Request is outdated"), Cause.BUSY),
        (said("Some requested entity was not found", "Table not found: traces"), Cause.SCHEMA),
        (said("The request does not have valid authentication credentials"), Cause.CREDENTIALS),
        (said("The caller does not have permission to execute the specified operation"), Cause.CREDENTIALS),
    ],
)
def test_the_phrase_of_the_status_decides(text: str, cause: Cause) -> None:
    assert cause_of(text, retriable=True) is cause


def test_without_a_status_the_client_itself_refused() -> None:
    assert cause_of("expected decimal128, got float", retriable=False) is Cause.ROWS
    assert cause_of("dns error", retriable=True) is Cause.UNREACHABLE


@pytest.mark.parametrize(
    ("code", "http_status", "cause"),
    [
        (4001, 400, Cause.SCHEMA),
        (4004, 400, Cause.SCHEMA),
        (7002, 401, Cause.CREDENTIALS),
        (4007, 401, Cause.BUSY),
        (0, 403, Cause.CREDENTIALS),
        (4009, 503, Cause.BUSY),
        (6001, 429, Cause.BUSY),
        (1008, 504, Cause.UNCLEAR),
        (1004, 400, Cause.SERVER),
        (3000, 400, Cause.SERVER),
    ],
)
def test_sql_is_never_the_fault_of_the_rows(code: int, http_status: int, cause: Cause) -> None:
    assert cause_of_status(code, http_status) is cause


@pytest.mark.parametrize("cause", Cause)
def test_only_rows_that_are_at_fault_are_given_up(cause: Cause) -> None:
    raised = consume_error(CallError(cause, "localhost:4001: traces: injected"))
    assert isinstance(raised, PermanentError if cause in (Cause.ROWS, Cause.TOO_LARGE) else RetryableError)
    assert str(raised).endswith("localhost:4001: traces: injected")


@pytest.mark.parametrize("cause", Cause)
def test_trouble_inside_the_server_may_be_the_fault_of_a_row(cause: Cause) -> None:
    raised = consume_error(CallError(cause, "injected"))
    assert isinstance(raised, SuspectError) == (cause in (Cause.SERVER, Cause.UNCLEAR))
    assert isinstance(raised, PermanentError) or raised.kind == cause.value


OPENFUSE_CLASSES = {"transient": RetryableError, "poison": PermanentError}


@needs_shared
@pytest.mark.shared
@pytest.mark.parametrize("case", openfuse_cases("error_class"), ids=lambda case: case["name"])
def test_openfuses_classes_where_we_share_them(case: dict[str, Any]) -> None:
    """Not shared: `oversize`, which is divided before anything is raised, and a wrong schema, which is waited for."""
    phrases = {
        1004: "Client specified an invalid argument",
        4009: "Some resource has been exhausted",
        14: "The service is currently unavailable",
        8: "Some resource has been exhausted",
        "timeout": "The operation was cancelled",
        "unknown": "Unknown error",
        "value": None,
        "schema": "Some requested entity was not found",
    }
    (key,) = case["input"].values()
    phrase = phrases[key]
    text, retriable = (said(phrase), True) if phrase else ("expected int64, got str", False)
    raised = consume_error(CallError(cause_of(text, retriable), text))
    wanted = OPENFUSE_CLASSES.get(case["expect"]["class"], RetryableError)
    assert isinstance(raised, RetryableError if case["name"] == "schema" else wanted)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"endpoints": ()}, "endpoints must name"),
        ({"http_endpoints": ()}, "http_endpoints must name"),
        ({"timeout": Duration(0)}, "timeout must be greater than 0"),
        ({"encoder_workers": 0}, "encoder_workers must be at least 1"),
        ({"max_bytes": Size(0)}, "max_bytes must be at least 1"),
        ({"database": "Open-Fuse"}, "database must be of"),
        ({"username": "u"}, "password and username belong together"),
        ({"password": Secret("p")}, "password and username belong together"),
        ({"compression": "lz4"}, "compression must be one of"),
        ({"ttl": "soon"}, "ttl must be a duration"),
        ({"assume_new": True, "settle": SettleConfig(interval=Duration(0))}, "assume_new needs the settle pass"),
    ],
)
def test_settings_that_cannot_work(settings: dict[str, Any], sentence: str) -> None:
    problems = list(GreptimedbConfig(**settings).validate())
    assert len(problems) == 1
    assert problems[0].startswith(sentence)


def test_every_setting_and_metric_is_documented() -> None:
    text = README.read_text(encoding="utf-8")
    assert list(GreptimedbConfig().validate()) == []
    for name in (*GreptimedbConfig.__dataclass_fields__, *FACTORY.metrics):
        assert f"| `{name}" in text, name


def test_certificates_that_are_not_there_are_a_sentence() -> None:
    tls = TlsConfig("/nowhere/ca.pem", "/nowhere/cert.pem", "/nowhere/key.pem")
    with pytest.raises(CollectorError, match=r"tls: ca_file /nowhere/ca\.pem cannot be read: No such file"):
        SqlClient(GreptimedbConfig(tls=tls))
