"""Results of pure functions, remembered within a bound of memory: what senders write decides neither how many nor how large."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Remembered(dict[Argument, Result]):
    """`remembered[argument]` is what the function makes of it. Any thread may ask.

    Arguments that are larger than `largest` are worked out anew each time. When `most` are known all are forgotten at once: a
    look-up then costs no more than one in a dict, and those that are in use are soon back.
    """

    def __init__(
        self, make: Callable[[Argument], Result], size: Callable[[Argument], int], *, most: int, largest: int
    ) -> None:
        """`size` tells the characters of an argument; it is asked only when a result is made."""
        self._make = make
        self._size = size
        self._most = most
        self._largest = largest

    def __missing__(self, argument: Argument) -> Result:
        made = self._make(argument)
        if self._size(argument) <= self._largest:
            if len(self) >= self._most:
                self.clear()
            self[argument] = made
        return made
