"""How a dead letter shows: head and payload, for people."""

from __future__ import annotations

from datetime import UTC

import pytest

from openfuse_collector.cli.views.dead_letters import letter_lines
from openfuse_collector.component import Kind
from openfuse_collector.dead_letters.letter import DeadLetter
from openfuse_collector.signals import Origin, Signal
from tests.builders import RECEIVED_AT


@pytest.mark.parametrize(
    ("sdk", "sender"),
    [
        (("python", "3.1"), " from python 3.1"),
        (("python", "unknown"), " from python"),
        (("unknown", "unknown"), ""),
    ],
)
def test_a_sender_is_named_as_far_as_it_has_said_who_it_is(sdk: tuple[str, str], sender: str) -> None:
    origin = Origin(Signal.EVENTS, "langfuse", RECEIVED_AT, "p1", "", *sdk)
    letter = DeadLetter(0, "events", "sqlite", Kind.EXPORTER, "too odd", Signal.EVENTS, origin, 0, b"[]")
    (received,) = (line for line in letter_lines("1", letter, UTC) if line.startswith("received:"))
    assert received.endswith(f" by langfuse{sender}"), received
