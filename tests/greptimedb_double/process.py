"""The double in a process of its own: for benchmarks, which should not share an interpreter with it, and for servers that die."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.greptimedb_double.calls import Call
from tests.greptimedb_double.double import Double
from tests.greptimedb_double.faults import Fault
from tests.greptimedb_double.sockets import reserve

_SPAWN = multiprocessing.get_context("spawn")


class DoubleProcess:
    """Like Double, and `kill` and `start` besides. Predicates of `bad_row` have to be functions of a module.

    With a `directory` the data is still there after `kill` and `start`, without one it is not. The ports stay the same.
    """

    def __init__(
        self, user: str | None = None, password: str | None = None, *, directory: Path | None = None, **settings: Any
    ) -> None:
        self._reserved = [reserve(), reserve()]
        grpc_port, http_port = (reserved.getsockname()[1] for reserved in self._reserved)
        ports = {"grpc_port": grpc_port, "http_port": http_port}
        self._settings = {"user": user, "password": password, "directory": directory, **ports, **settings}
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.http = f"http://127.0.0.1:{http_port}"

    def __enter__(self) -> DoubleProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.is_alive():
            self._ask("close")
            self._process.join()
        self._connection.close()
        for reserved in self._reserved:
            reserved.close()

    def start(self) -> None:
        """Serves; returns once both ports answer."""
        self._connection, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_serve, args=(theirs, self._settings), daemon=True)
        self._process.start()
        theirs.close()
        self._connection.recv()

    def kill(self) -> None:
        """Ends the process as kill -9 does: connections break, nothing is put in order."""
        self._process.kill()
        self._process.join()
        self._connection.close()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def calls(self) -> list[Call]:
        """Every call since the last start."""
        calls: list[Call] = self._ask("calls")
        return calls

    def query(self, sql: str, database: str | None = None) -> list[dict[str, Any]]:
        """As Double.query."""
        rows: list[dict[str, Any]] = self._ask("query", sql, database)
        return rows

    def fail(self, *faults: Fault) -> None:
        """As Double.fail."""
        self._ask("fail", *faults)

    def heal(self, fault: Fault | None = None) -> None:
        """As Double.heal."""
        self._ask("heal", fault)

    def struck(self, fault: Fault) -> int:
        """As Double.struck."""
        number: int = self._ask("struck", fault)
        return number

    def require(self, user: str | None, password: str | None = None) -> None:
        """As Double.require."""
        self._ask("require", user, password)

    def _ask(self, name: str, *arguments: Any) -> Any:
        self._connection.send((name, arguments))
        failed, answer = self._connection.recv()
        if failed:
            raise answer
        return answer


def _serve(connection: Connection, settings: dict[str, Any]) -> None:
    """What the child does: serve, and answer the parent until told to close or until the parent is gone."""
    with Double(**settings) as double:
        connection.send("serving")
        name = ""
        while name != "close":
            try:
                name, arguments = connection.recv()
            except EOFError:
                return
            connection.send(_answer(double, name, arguments))


def _answer(double: Double, name: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    if name == "close":
        return False, None
    try:
        found = getattr(double, name)
        return False, found(*arguments) if callable(found) else found
    except Exception as error:
        return True, error
