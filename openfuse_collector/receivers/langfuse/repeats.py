"""The ids of calls that state none. A call that is refused leaves its ids to its repetition, because the journal may keep it all the same.

Two equal calls of which the first was answered with success are two objects. Whoever was refused sends the same bytes again, and
gets the ids of a call that was refused: so there is one object for each call that was answered with success.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple
from uuid import UUID, uuid4, uuid5

MOST = 4096
"""Refused calls that are remembered."""

SECONDS = 600.0
"""For how long. SDKs come back within a minute, or not at all."""


class Ids(NamedTuple):
    """What an object is known by."""

    entity: Any
    """As the body states it, be it good or not."""
    event: str


GiveIds = Callable[[Any], Ids]
"""Takes the id a body states, None or empty when it states none."""


def chance_ids(stated: Any) -> Ids:
    """Random ids for what is not stated."""
    event = str(uuid4())
    return Ids(stated or event, event)


class _Refused(NamedTuple):
    until: float
    call: bytes
    seed: UUID


class RefusedCalls:
    """The calls without ids that were refused of late, in memory. Thread-safe."""

    def __init__(self, most: int = MOST, seconds: float = SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._calls: deque[_Refused] = deque(maxlen=most)
        self._seconds = seconds
        self._clock = clock
        self._lock = Lock()

    def take(self, call: bytes) -> UUID | None:
        """The seed of the first equal call that was refused, which is forgotten with that; None when there is none."""
        with self._lock:
            while self._calls and self._calls[0].until < self._clock():
                self._calls.popleft()
            for refused in self._calls:
                if refused.call == call:
                    self._calls.remove(refused)
                    return refused.seed
        return None

    def put(self, call: bytes, seed: UUID) -> None:
        """A call was refused that had ids of this seed."""
        with self._lock:
            self._calls.append(_Refused(self._clock() + self._seconds, call, seed))


class CallIds:
    """Gives the ids of one call."""

    def __init__(self, refused: RefusedCalls, project_id: str, path: str, body: bytes) -> None:
        self._refused = refused
        self._project_and_path = f"{project_id}\0{path}\0"
        self._body = body
        self._call: tuple[bytes, UUID] | None = None
        """Digest and seed, once an object was found to state no id: most calls have none."""
        self._given = 0

    def __call__(self, stated: Any) -> Ids:
        """What is stated stays, with an event of its own at every call: so a later state of the object remains the later one."""
        if stated:
            return chance_ids(stated)
        if self._call is None:
            digest = sha256(self._project_and_path.encode("utf-8", "surrogatepass") + self._body).digest()
            self._call = digest, self._refused.take(digest) or uuid4()
        self._given += 1
        id = str(uuid5(self._call[1], str(self._given)))
        return Ids(id, id)

    def leave(self) -> None:
        """The call was refused: its ids are for its repetition."""
        if self._call is not None:
            self._refused.put(*self._call)
