"""Basic authentication of the double, the same for both protocols."""

from __future__ import annotations

import base64
import binascii

from tests.greptimedb_double.status import ServerError, StatusCode


class Credentials:
    """One user, or nobody: then everybody is let in. May change while the server runs."""

    def __init__(self, user: str | None, password: str | None) -> None:
        self._expected: tuple[str, str] | None = None
        self.require(user, password)

    def require(self, user: str | None, password: str | None) -> None:
        self._expected = None if user is None else (user, password or "")

    def check(self, given: tuple[str, str] | None) -> None:
        """Raises the server's error for a missing, unknown or wrong login."""
        expected = self._expected
        if expected is None or given == expected:
            return
        if given is None:
            raise ServerError(StatusCode.AUTH_HEADER_NOT_FOUND, "Not found http or grpc authorization header")
        if given[0] != expected[0]:
            raise ServerError(StatusCode.USER_NOT_FOUND, f"User not found, username: {given[0]}")
        raise ServerError(
            StatusCode.USER_PASSWORD_MISMATCH, f"Username and password does not match, username: {given[0]}"
        )


def of_header(header: str | None) -> tuple[str, str] | None:
    """User and password of `Basic …`. Raises InvalidAuthHeader for anything else."""
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = ""
    if scheme.lower() != "basic" or not colon:
        raise ServerError(StatusCode.INVALID_AUTH_HEADER, "Invalid authorization header")
    return user, password
