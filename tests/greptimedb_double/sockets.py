"""Ports that stay ours while nobody listens on them, and connections broken in the middle."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

HOST = "127.0.0.1"


def reserve(port: int = 0) -> socket.socket:
    """A bound socket that does not listen: the port is refused to clients and kept from other programs.

    A server that sets SO_REUSEPORT can listen on it as often as it likes.
    """
    reserved = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reserved.bind((HOST, port))
    return reserved


def break_connection(local_port: int, peer_port: int) -> bool:
    """Shuts down this process's own end of the TCP connection between these ports; whether there was one.

    grpcio does not hand out its sockets, so they are looked up among the open descriptors (Linux).
    """
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(OSError), _own_socket(int(entry.name)) as connection:
            if _ends(connection) == (local_port, peer_port):
                connection.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _own_socket(fd: int) -> socket.socket:
    """A second handle on the socket behind a descriptor. Raises OSError where there is none, or none any more."""
    duplicate = os.dup(fd)
    try:
        return socket.socket(fileno=duplicate)
    except OSError:
        os.close(duplicate)
        raise


def _ends(connection: socket.socket) -> tuple[int, int] | None:
    with suppress(OSError, IndexError, TypeError):
        return connection.getsockname()[1], connection.getpeername()[1]
    return None
