"""Commands whose standard streams were closed by whoever started them."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable

import pytest

from tests.collector_process import CollectorProcess

SPAN = (
    b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331",'
    b' "name": "chat", "startTimeUnixNano": "1795238577176000000", "attributes":'
    b' [{"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}}]}]}]}]}'
)


@pytest.mark.parametrize("closed", [range(1), range(3)], ids=["input", "all"])
def test_a_collector_without_standard_streams_works_and_stops(
    closed: range, start_collector: Callable[..., CollectorProcess]
) -> None:
    """The event loop aborts the process when it closes a descriptor below 3."""
    collector = start_collector(before_exec=lambda: os.closerange(closed.start, closed.stop))
    request = urllib.request.Request(
        f"{collector.http_endpoint}/v1/traces", SPAN, {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    collector.wait_for_rows("SELECT id FROM observations")
    assert collector.stop() == 0


@pytest.mark.parametrize("arguments", [("components",), ("validate",), ("models", "match", "gpt-4o")])
def test_a_command_without_standard_streams_does_its_work(arguments: tuple[str, ...]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "openfuse_collector", *arguments], preexec_fn=lambda: os.closerange(0, 3)
    )
    assert ran.returncode == 0
