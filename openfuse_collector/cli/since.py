"""`--since`: how far back a command looks."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import click

from openfuse_collector.clock import epoch_millis

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")


class Since(click.ParamType):  # type: ignore[type-arg]  # generic only in click 8.3 and later
    """`15m`, `2h`, `1d` ago, or an ISO 8601 time; becomes epoch milliseconds."""

    name = "age or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails as a usage error on anything else."""
        try:
            return since(value, epoch_millis())
        except ValueError:
            self.fail(f"{value!r} is neither an age like 15m, 2h, 1d nor an ISO 8601 time", param, ctx)


def since(text: str, now: int) -> int:
    """Epoch ms of `15m`, `2h`, `1d12h` before `now`, or of an ISO 8601 time (UTC without a zone). Raises ValueError."""
    parts = _SPAN.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        ago = sum(float(number) * _UNITS[unit] for number, unit in parts)
        return now - round(min(now, ago))  # since 1970 at most
    moment = datetime.fromisoformat(text)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
