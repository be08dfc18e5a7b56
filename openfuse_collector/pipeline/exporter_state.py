"""How an exporter is doing, for people who ask: last success, last error, whether it is trying again."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

MOST_TEXT = 500
"""Characters of an error that are shown."""

_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")


class ExporterState:
    """Written by the exporter's thread, read by anyone."""

    def __init__(self) -> None:
        self.attempts = 0
        """Failed attempts at the batch at hand."""
        self._succeeded: datetime | None = None
        self._failed: tuple[datetime, str] | None = None

    def succeeded(self) -> None:
        """A batch is where it belongs."""
        self._succeeded, self.attempts = datetime.now(UTC), 0

    def failed(self, error: str) -> None:
        """An attempt was in vain; there will be another one."""
        self._failed = datetime.now(UTC), shown(error)
        self.attempts += 1

    def refused(self, error: str) -> None:
        """Something was refused for good, and set aside."""
        self._failed, self.attempts = (datetime.now(UTC), shown(error)), 0

    def status(self) -> dict[str, Any]:
        """JSON values; times as ISO-8601."""
        failed = self._failed
        return {
            "state": "retrying" if self.attempts else "ok",
            "attempts": self.attempts,
            "last_success": self._succeeded and self._succeeded.isoformat(timespec="milliseconds"),
            "last_error": failed and {"at": failed[0].isoformat(timespec="milliseconds"), "error": failed[1]},
        }


def shown(error: str) -> str:
    """An error without user names and passwords of URLs, and of bounded length."""
    return _USERINFO.sub("", error)[:MOST_TEXT]
