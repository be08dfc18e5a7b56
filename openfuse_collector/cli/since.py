"""The type of `--since`: how far back."""

from __future__ import annotations

import time
from typing import Any

import click

from openfuse_collector.cli.views import format


class Since(click.ParamType):  # type: ignore[type-arg]  # generic only in click 8.3 and later
    """`15m`, `2h`, `1d` ago, or an ISO 8601 time; becomes epoch milliseconds."""

    name = "age or time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails as a usage error on anything else."""
        try:
            return format.since(value, round(time.time() * 1000))
        except ValueError:
            self.fail(f"{value!r} is neither an age like 15m, 2h, 1d nor an ISO 8601 time", param, ctx)
