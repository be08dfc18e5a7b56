"""Who sends a request: what its headers say, before its body is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from openfuse_collector.auth import Authenticator, Identity, identify
from openfuse_collector.receivers.requests.sdk import Sdk, sdk_of


class Sender(NamedTuple):
    """Identity and software of a client."""

    identity: Identity
    sdk: Sdk


async def sender_of(headers: Mapping[str, str], authenticator: Authenticator) -> Sender:
    """The sender of a request, from HTTP headers or gRPC metadata. Raises AuthError, ForbiddenError."""
    return Sender(await identify(authenticator, headers), sdk_of(headers))
