"""A GreptimeDB for tests: its row protocol over gRPC and its SQL over HTTP, in front of sqlite, with faults. See README.md."""

from tests.greptimedb_double import faults
from tests.greptimedb_double.calls import Call
from tests.greptimedb_double.double import Double
from tests.greptimedb_double.faults import Fault
from tests.greptimedb_double.process import DoubleProcess
from tests.greptimedb_double.status import ServerError, StatusCode

__all__ = ["Call", "Double", "DoubleProcess", "Fault", "ServerError", "StatusCode", "faults"]
