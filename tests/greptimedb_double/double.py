"""The double: both protocols over one instance, on ports of its own, with faults to switch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.greptimedb_double.calls import Activity, Call
from tests.greptimedb_double.credentials import Credentials
from tests.greptimedb_double.faults import Fault, Faults
from tests.greptimedb_double.grpc_service import GrpcService
from tests.greptimedb_double.http_service import HttpService
from tests.greptimedb_double.instance import Instance
from tests.greptimedb_double.sockets import HOST, reserve

MAX_MESSAGE_BYTES = 512 << 20


class Double:
    """A GreptimeDB to test against; `with Double() as db:` serves until the block ends.

    `database` is where `query` looks. With a `directory`, data is in files there, and another Double over it goes on with them.
    Without `auto_create_table` rows for an unknown table or column are refused, as with the hint of that name.
    """

    def __init__(
        self,
        user: str | None = None,
        password: str | None = None,
        *,
        database: str = "public",
        directory: Path | None = None,
        grpc_port: int = 0,
        http_port: int = 0,
        max_message_bytes: int = MAX_MESSAGE_BYTES,
        auto_create_table: bool = True,
    ) -> None:
        self.database = database
        self._instance = Instance(directory, auto_create_table=auto_create_table)
        self._activity = Activity()
        self._faults = Faults(self._activity)
        self._credentials = Credentials(user, password)
        self._reserved = [reserve(grpc_port), reserve(http_port)]
        grpc_port, http_port = (reserved.getsockname()[1] for reserved in self._reserved)
        common = (self._instance, self._faults, self._activity, self._credentials)
        self._services: dict[str, GrpcService | HttpService] = {
            "grpc": GrpcService(*common, grpc_port, max_message_bytes),
            "http": HttpService(*common, http_port),
        }
        self._stopped = set(self._services)
        self._switching = threading.Lock()
        self.grpc = f"{HOST}:{grpc_port}"
        self.http = f"http://{HOST}:{http_port}"

    def __enter__(self) -> Double:
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Cuts connections, frees ports, forgets data that is not in files."""
        self._faults.remove(None)
        for name in set(self._services) - self._stopped:
            self._services[name].stop()
        for reserved in self._reserved:
            reserved.close()
        self._instance.close()

    # what is in it

    def query(self, sql: str, database: str | None = None) -> list[dict[str, Any]]:
        """Rows of SQL run directly, past network, logins and faults. Values as Python has them: bool, Decimal, parsed JSON;
        times are integers in the unit of their column. Raises ServerError."""
        return self._instance.query(sql, database or self.database)

    def set_files(self, table: str, files: int) -> None:
        """Gives a table that many SST files, each with rows of all times; above 384 it cannot be read."""
        self._instance.set_files(table, files, self.database)

    # what was asked of it

    @property
    def calls(self) -> list[Call]:
        """Every call so far, in the order they ended."""
        return self._activity.calls()

    def wait(self, condition: Callable[[], bool], timeout: float = 30.0) -> None:
        """Returns once the condition holds; it is looked at after each call and each fault that strikes, and after `heal`.

        Raises TimeoutError."""
        self._activity.wait(condition, timeout)

    # what goes wrong with it

    def fail(self, *faults: Fault) -> None:
        """Switches faults on, beside those that are."""
        for fault in faults:
            if fault.kind == "schema_missing":
                self._instance.drop_tables(fault.dropped)
            else:
                self._faults.add(fault)
        self._listen()

    def heal(self, fault: Fault | None = None) -> None:
        """Switches one fault off, or all of them."""
        self._faults.remove(fault)
        self._listen()

    def struck(self, fault: Fault) -> int:
        """How many calls a fault has struck since it was switched on."""
        return self._faults.struck(fault)

    def require(self, user: str | None, password: str | None = None) -> None:
        """From now on this login is needed; None lets everybody in."""
        self._credentials.require(user, password)

    def _listen(self) -> None:
        """Starts and stops the services as the faults of kind unavailable have it."""
        with self._switching:
            refused = {name for fault in self._faults.active("unavailable") for name in fault.protocols}
            for name in refused - self._stopped:
                self._services[name].stop()
            for name in self._stopped - refused:
                self._services[name].start()
            self._stopped = refused
