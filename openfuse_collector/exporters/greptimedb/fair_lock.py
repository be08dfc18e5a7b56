"""A lock that goes to whoever has waited longest: settling, which takes it again and again, keeps no batch from its turn."""

from __future__ import annotations

from collections import deque
from threading import Lock


class FairLock:
    """For `with`; not reentrant. A `threading.Lock` goes to whoever asks first once it is free, mostly the thread that has let go of it."""

    def __init__(self) -> None:
        self._state = Lock()
        self._held = False
        self._turns: deque[Lock] = deque()

    @property
    def waiting(self) -> int:
        """Threads that wait for their turn."""
        return len(self._turns)

    def locked(self) -> bool:
        """Whether somebody has it."""
        return self._held

    def __enter__(self) -> None:
        with self._state:
            if not self._held:
                self._held = True
                return
            turn = Lock()
            turn.acquire()
            self._turns.append(turn)
        try:
            turn.acquire()
        except BaseException:  # a signal: what nobody would let go of goes on to the next one
            with self._state:
                if turn in self._turns:
                    self._turns.remove(turn)
                else:
                    self._pass_on()
            raise

    def __exit__(self, *_: object) -> None:
        with self._state:
            self._pass_on()

    def _pass_on(self) -> None:
        if self._turns:
            self._turns.popleft().release()
        else:
            self._held = False
