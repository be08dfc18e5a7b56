"""What is said of an address that is listened on, or cannot be: why, and what to do about it."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

from openfuse_collector.config.types import Address
from openfuse_collector.errors import CollectorError

if TYPE_CHECKING:
    from structlog.stdlib import BoundLogger

REMEDIES = {
    errno.EADDRINUSE: "stop what listens there, another collector perhaps, or choose another port",
    errno.EADDRNOTAVAIL: "choose an address of this machine; 0.0.0.0 is all of them",
    errno.EACCES: "choose a port of 1024 or more, or run with the right to use it",
}
"""errno -> what helps."""


EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104  (to warn of it)


def tell_listening(log: BoundLogger, transport: str, address: Address) -> None:
    """Log that requests are taken now, with a warning where that is on every interface."""
    log.info("listening", transport=transport, endpoint=str(address))
    if address.host in EVERYWHERE:
        log.warning(
            "listening on every interface: anyone who reaches the port can send",
            transport=transport,
            endpoint=str(address),
        )


def cannot_listen(address: Address, error: OSError | None) -> CollectorError:
    """The error to raise; without `error` (gRPC does not say why) the address is tried once more to find out."""
    cause = error or probe(address)
    if cause is None:
        return CollectorError(f"cannot listen on {address}: it was not free a moment ago, start again")
    if isinstance(cause, socket.gaierror):
        return CollectorError(
            f"cannot listen on {address}: {cause.strerror}; choose a host name or address of this machine"
        )
    why = os.strerror(cause.errno) if cause.errno else str(cause)  # asyncio's own text repeats the address
    remedy = REMEDIES.get(cause.errno or 0)
    return CollectorError(f"cannot listen on {address}: {why}" + (f"; {remedy}" if remedy else ""))


def probe(address: Address) -> OSError | None:
    """What is in the way of listening on `address`; None when it can be had."""
    try:
        for family, kind, protocol, _, where in socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind(where)
                tried.listen()
    except OSError as error:
        return error
    return None
