"""Steps of housekeeping that a disk may refuse: said once, tried again each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger


class Attempts:
    """Knows which steps are failing, so that a refusal is one line in the log until the step succeeds again."""

    def __init__(self, log: BoundLogger) -> None:
        self._log = log
        self._failing: set[str] = set()

    def __call__(self, what: str, step: Callable[[], None]) -> bool:
        """Take a step; `what` names it in the log. An OSError ends here. Tells whether there was none."""
        try:
            step()
        except OSError as error:
            if what not in self._failing:
                self._log.warning(f"journal cannot {what}", error=str(error))
            self._failing.add(what)
            return False
        self._failing.discard(what)
        return True
