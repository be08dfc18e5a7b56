"""Who sends a request: what its headers say, before its body is read."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple


class Identity(NamedTuple):
    """The project data goes to, and the public half of the key that says so."""

    project_id: str
    public_key: str


class Sender(NamedTuple):
    """Identity and software of a client."""

    identity: Identity
    sdk_name: str
    sdk_version: str


Identify = Callable[[Mapping[str, str]], Awaitable[Identity]]
"""Headers or gRPC metadata, asked for by lower-case names -> identity. Raises an error that `pdata.status` can translate."""

_ANYONE = Identity("default", "")


async def anyone(headers: Mapping[str, str]) -> Identity:
    """Everyone is the default project."""
    return _ANYONE


async def sender_of(headers: Mapping[str, str], identify: Identify) -> Sender:
    """The sender of a request. Langfuse SDKs write their name with hyphens; some proxies make underscores of them."""
    identity = await identify(headers)
    get = headers.get
    name = get("x-langfuse-sdk-name") or get("x_langfuse_sdk_name")
    version = get("x-langfuse-sdk-version") or get("x_langfuse_sdk_version")
    return Sender(identity, name or "unknown", version or "unknown")
