"""Durations, sizes, addresses, secrets and ids: what is read, what is refused, and that writing them loses nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openfuse_collector.component import ComponentID
from openfuse_collector.config.ids import PipelineID, parse_component_id, parse_pipeline_id
from openfuse_collector.config.types import Address, Duration, Secret, Size
from openfuse_collector.signals import Signal


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("200ms", 0.2),
        ("5s", 5),
        ("1h30m", 5400),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("3us", 3e-6),
        ("3µs", 3e-6),
        ("3μs", 3e-6),
        ("7ns", 7e-9),
        ("1m0.5s", 60.5),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert Duration.parse(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "write 5s for seconds or 5ms for milliseconds"),
        ("0.5", "write 0.5s"),
        ("7w", "ns, us, ms, s, m, h, d"),
        ("-5s", "is not a duration"),
        ("5 s", "is not a duration"),
        ("", "is not a duration"),
        ("1000000d", "is too long: at most 36500d"),
        ("36500d1ms", "is too long"),
        ("9" * 400 + "ns", "is too long"),
    ],
)
def test_a_wrong_duration_names_the_remedy(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Duration.parse(text)


@given(st.integers(min_value=0, max_value=10 * 365 * 86400 * 1000))
def test_a_duration_survives_being_written(milliseconds: int) -> None:
    duration = Duration.parse(f"{milliseconds}ms")
    assert Duration.parse(duration.written()) == duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.1, "100ms"), (0.0015, "1.5ms"), (90, "1m30s"), (86400, "24h"), (1.5, "1.5s"), (2e-9, "2ns")],
)
def test_a_duration_is_written_short(seconds: float, text: str) -> None:
    assert Duration(seconds).written() == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("4096", 4096), ("64MiB", 64 << 20), ("1.5GB", 1_500_000_000), ("2 kib", 2048), ("1TiB", 1 << 40)],
)
def test_sizes(text: str, size: int) -> None:
    assert Size.parse(text) == size


@pytest.mark.parametrize("text", ["64M", "MiB", "-1", "1e3", "1MiB2", ""])
def test_a_wrong_size_lists_the_units(text: str) -> None:
    with pytest.raises(ValueError, match="B, KB, MB"):
        Size.parse(text)


@given(st.integers(min_value=0, max_value=1 << 50))
def test_a_size_survives_being_written(size: int) -> None:
    assert Size.parse(str(Size(size).written())) == size


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:4317", "localhost", 4317),
        (":80", "0.0.0.0", 80),
        ("[::1]:4318", "::1", 4318),
        ("a.b-c:0", "a.b-c", 0),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    address = Address.parse(text)
    assert (address.host, address.port) == (host, port)


@pytest.mark.parametrize("text", ["localhost", "localhost:", "::1:4317", "http://x:80", "a b:1", "x:65536", ""])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        Address.parse(text)


def test_a_secret_shows_only_when_asked() -> None:
    secret = Secret("hunter2")
    assert "hunter2" not in f"{secret} {secret!r} {secret!s:>20} {[secret]}"
    assert secret.reveal() == "hunter2"


def test_ids_are_trimmed_on_both_sides_of_the_slash() -> None:
    assert parse_component_id(" otlp / eu-1 ") == ComponentID("otlp", "eu-1")
    assert parse_pipeline_id(" traces / a/b") == PipelineID(Signal.TRACES, "a/b")
    assert str(PipelineID(Signal.EVENTS)) == "events"
    assert str(PipelineID(Signal.EVENTS, "eu")) == "events/eu"


@pytest.mark.parametrize(
    "text", ["", "/x", "otlp/", "1otlp", "ot-lp", "otlp/a b", "otlp/a$b", "x" * 64, "a/" + "b" * 1025]
)
def test_what_is_no_id(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|the name in"):
        parse_component_id(text)


def test_an_unknown_signal_is_answered_with_the_nearest() -> None:
    with pytest.raises(ValueError, match='did you mean "traces"'):
        parse_pipeline_id("trace/eu")
