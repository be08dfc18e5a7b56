"""Who sends a request: what credentials prove, the question receivers ask, and the errors that answer it."""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol

from openfuse_collector.errors import CollectorError
from openfuse_collector.events.text import clean

DEFAULT_PROJECT = "default"
LONGEST_KEY = 256
"""Characters of a public key worth keeping where nobody checks it."""


class Scope(StrEnum):
    """What a key may do."""

    PROJECT = "project"
    """Everything: the sender has the secret."""
    SCORES = "scores"
    """Only add scores: the sender has the public key alone, as web pages do."""


class Identity(NamedTuple):
    """The project data goes to, the public half of the key that says so, and what that key may do."""

    project_id: str
    public_key: str = ""
    scope: Scope = Scope.PROJECT
    project_name: str = ""


class Credentials(NamedTuple):
    """What an Authorization header holds."""

    public_key: str
    secret: str | None
    """None for a Bearer header, which carries the public key alone."""


class AuthError(CollectorError):
    """Credentials that do not let anyone in. The message is Langfuse's and never holds any part of them."""

    status = 401

    def __init__(self, message: str, delay: float = 0.0) -> None:
        self.delay = delay
        """Seconds to wait, without blocking anybody else, before this is answered."""
        super().__init__(message)


class ForbiddenError(CollectorError):
    """Good credentials that do not allow this."""


class Authenticator(Protocol):
    """What receivers ask. HTTP headers, or gRPC metadata, by lower-case name."""

    def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """The identity of a sender. Never blocks. Raises AuthError."""
        ...


NO_HEADER = "No authorization header"
INVALID_HEADER = "Invalid authorization header"
INVALID_CREDENTIALS = "Invalid credentials. Confirm that you've configured the correct host."
INVALID_PUBLIC_KEY = "Invalid public key. Confirm that you've configured the correct host."


def credentials_of(headers: Mapping[str, str]) -> Credentials:
    """The credentials a request carries, unchecked. Raises AuthError when it has none that can be read."""
    header = headers.get("authorization") or headers.get("Authorization")
    if not header:
        raise AuthError(NO_HEADER)
    scheme, _, value = header.partition(" ")
    scheme, value = scheme.lower(), value.strip()
    if scheme == "bearer" and value:
        return Credentials(value, None)
    if scheme != "basic":
        raise AuthError(INVALID_HEADER)
    try:
        text = b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise AuthError(INVALID_HEADER) from None  # the original error quotes the header
    public_key, *secrets = text.split(":")
    if not public_key or not secrets or not secrets[0]:
        raise AuthError(INVALID_HEADER)
    return Credentials(public_key, secrets[0])  # text behind a second colon is no part of it, as in Langfuse


class OpenDoor:
    """Everyone is the default project, whatever the credentials. The public key is taken down as stated, if need be cleaned."""

    def authenticate(self, headers: Mapping[str, str]) -> Identity:
        """Never raises."""
        try:
            return Identity(DEFAULT_PROJECT, clean(credentials_of(headers).public_key[:LONGEST_KEY]))
        except AuthError:
            return Identity(DEFAULT_PROJECT)


async def identify(authenticator: Authenticator, headers: Mapping[str, str], least: Scope = Scope.PROJECT) -> Identity:
    """The identity of a sender whose key is good for `least`. A failed login is held back, which costs nobody else anything.

    Raises AuthError, and ForbiddenError for keys that may only add scores where more is asked for.
    """
    try:
        identity = authenticator.authenticate(headers)
    except AuthError as error:
        await asyncio.sleep(error.delay)
        raise
    if least is Scope.PROJECT and identity.scope is not Scope.PROJECT:
        raise ForbiddenError("Access denied - insufficient permissions for this endpoint")
    return identity
