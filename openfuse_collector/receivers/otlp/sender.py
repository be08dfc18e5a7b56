"""Who sends a request: what its headers say, before its body is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from openfuse_collector.auth import Authenticator, Identity, identify


class Sender(NamedTuple):
    """Identity and software of a client."""

    identity: Identity
    sdk_name: str
    sdk_version: str


async def sender_of(headers: Mapping[str, str], authenticator: Authenticator) -> Sender:
    """The sender of a request, from HTTP headers or gRPC metadata. Raises AuthError, ForbiddenError.

    Langfuse SDKs write their name with hyphens; some of them, and some proxies, with underscores.
    """
    identity = await identify(authenticator, headers)
    get = headers.get
    name = get("x-langfuse-sdk-name") or get("x_langfuse_sdk_name")
    version = get("x-langfuse-sdk-version") or get("x_langfuse_sdk_version")
    return Sender(identity, name or "unknown", version or "unknown")
