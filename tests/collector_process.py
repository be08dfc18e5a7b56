"""A real collector in a process of its own, on free ports and temporary paths, for tests that look at it from outside.

Import the fixtures where they are used (a `conftest.py` will do): `collector` is started once per test and stopped with
SIGTERM, `start_collector` starts as many as a test wants, with settings of its own.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

START_TIMEOUT = STOP_TIMEOUT = 60.0
ROWS_TIMEOUT = 60.0
"""Bounds on waiting, far above what is ever needed; reaching one is a failure of its own."""

_POLL = 0.02
_PORTS = range(12_000, 32_000)
_SHARES = 8
"""Each process of a parallel run has ports of its own, so that nobody takes those of a collector that is just being started again."""
_CHECKOUT = Path(__file__).resolve().parent.parent


def free_ports(count: int) -> list[int]:
    """Different TCP ports nobody listens on, below those the system gives to outgoing connections: a collector that is started again
    finds them free. They are held together while they are chosen.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            port = random.SystemRandom().choice(_PORTS[worker % _SHARES :: _SHARES])
            with suppress(OSError):
                held.enter_context(socket.create_server(("127.0.0.1", port)))
                ports.append(port)
        return ports


def wait_until(condition: Callable[[], bool], what: Callable[[], str], timeout: float) -> None:
    """Poll until the condition holds; AssertionError with `what()` after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"{what()} (waited {timeout:g}s)"
        time.sleep(_POLL)


class CollectorProcess:
    """One collector. The same object may be stopped or killed and started again: paths and ports stay."""

    def __init__(
        self,
        directory: Path,
        sets: dict[str, Any] | None = None,
        arguments: Sequence[str] = (),
        program: str = "openfuse_collector",
        environment: Mapping[str, str] | None = None,
        before_exec: Callable[[], None] | None = None,
    ) -> None:
        """`program` is the module that is run, for collectors that are not quite the usual one; `before_exec` runs in the new process."""
        self.directory = directory
        self._program = program
        self.directory.mkdir(parents=True, exist_ok=True)
        self.grpc_port, self.http_port, self.health_port, self.metrics_port = free_ports(4)
        self.store = directory / "openfuse.db"
        self.journal = directory / "journal"
        self.log_file = directory / "collector.log"
        self.environment = dict(environment or {})
        """Variables on top of our own, from the next start on."""
        self._arguments = [*arguments, *self._sets(sets or {})]
        self._before_exec = before_exec
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        """How often it was started so far."""

    @property
    def http_endpoint(self) -> str:
        """Base URL of OTLP/HTTP and of the Langfuse API."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def grpc_endpoint(self) -> str:
        """URL of OTLP/gRPC."""
        return f"http://127.0.0.1:{self.grpc_port}"

    @property
    def metrics_url(self) -> str:
        """URL of the Prometheus page."""
        return f"http://127.0.0.1:{self.metrics_port}/metrics"

    @property
    def pid(self) -> int:
        """Process id of the running collector."""
        assert self._process is not None, "the collector is not running"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there; a crash is noticed here."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process is not None

    @property
    def log(self) -> str:
        """All it has written to standard output and error so far, over restarts."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def start(self) -> CollectorProcess:
        """Start and wait until health says 200. AssertionError with the log when it ends first."""
        assert self._process is None, "the collector is running already"
        self.starts += 1
        command = [sys.executable, "-m", self._program, "run", *self._arguments]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=self._environment(),
                start_new_session=True,
                preexec_fn=self._before_exec,
            )
        wait_until(self._is_ready, lambda: f"the collector is not ready:\n{self.log}", START_TIMEOUT)
        return self

    def stop(self) -> int:
        """SIGTERM, then wait for the drain. Gives the exit code; a collector that hangs is killed and fails the test."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the collector did not stop within {STOP_TIMEOUT:g}s:\n{self.log}") from None

    def kill(self) -> None:
        """SIGKILL: nothing is drained, nothing is closed."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def query(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of the store, read-only; none while there is no store or no such table yet."""
        if not self.store.exists():
            return []
        with closing(sqlite3.connect(f"{self.store.as_uri()}?mode=ro", uri=True, timeout=20)) as connection:
            connection.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in connection.execute(sql, values)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):
                    return []
                raise

    def wait_for_rows(self, sql: str, *values: Any, at_least: int = 1) -> list[dict[str, Any]]:
        """The rows of a query once there are enough. AssertionError with the log otherwise."""
        rows: list[dict[str, Any]] = []

        def enough() -> bool:
            rows[:] = self.query(sql, *values)
            return len(rows) >= at_least

        wait_until(enough, lambda: f"{len(rows)} of {at_least} rows of {sql!r}:\n{self.log}", ROWS_TIMEOUT)
        return rows

    def metric(self, name: str, **labels: str) -> float:
        """Sum of all samples of that name that carry these labels; 0 without one."""
        with urllib.request.urlopen(self.metrics_url, timeout=10) as answer:
            text = answer.read().decode()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        samples = (line for line in text.splitlines() if line.partition("{")[0].partition(" ")[0] == name)
        return sum(float(line.rpartition(" ")[2]) for line in samples if all(label in line for label in wanted))

    def _sets(self, more: dict[str, Any]) -> list[str]:
        sets = {
            "receivers.otlp.protocols.grpc.endpoint": f"127.0.0.1:{self.grpc_port}",
            "receivers.otlp.protocols.http.endpoint": f"127.0.0.1:{self.http_port}",
            "exporters.sqlite.path": str(self.store),
            "extensions.health_check.endpoint": f"127.0.0.1:{self.health_port}",
            "service.journal.directory": str(self.journal),
            "service.telemetry.metrics.address": f"127.0.0.1:{self.metrics_port}",
            **more,
        }
        return [part for key, value in sets.items() for part in ("--set", f"{key}={value}")]

    def _environment(self) -> dict[str, str]:
        """Ours, with the checkout importable from the collector's own directory."""
        path = os.pathsep.join(filter(None, (str(_CHECKOUT), os.environ.get("PYTHONPATH", ""))))
        return {**os.environ, "PYTHONPATH": path, **self.environment}

    def _is_ready(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            self._process = None
            raise AssertionError(f"the collector ended with exit code {code}:\n{self.log}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


@pytest.fixture
def start_collector(tmp_path: Path) -> Iterator[Callable[..., CollectorProcess]]:
    """Call it to start a collector: `start_collector("name", sets={...}, arguments=[...])`. All are ended after the test."""
    started: list[CollectorProcess] = []

    def start(name: str = "collector", **options: Any) -> CollectorProcess:
        started.append(CollectorProcess(tmp_path / name, **options))
        return started[-1].start()

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def collector(start_collector: Callable[..., CollectorProcess]) -> Iterator[CollectorProcess]:
    """One running collector with the default configuration; it must stop cleanly."""
    process = start_collector()
    yield process
    assert process.stop() == 0, process.log
