"""Secrets as they are kept and compared: hashed with a salt, in constant time.

`sha256:<salt>:<64 hex digits>` where the digits are sha256(secret + hex(sha256(salt))): Langfuse's `fast_hashed_secret_key`,
so that rows of its `api_keys` table can be taken over. A fast hash is enough for secrets that are random and long, as
Langfuse's are (a uuid); it is not for passwords people choose.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from os import urandom
from typing import NamedTuple

_FORM = re.compile(r"sha256:([^:\s]*):([0-9a-fA-F]{64})", re.ASCII)


class SecretHash(NamedTuple):
    """What is left of a secret. Its repr shows nothing: a hash can be guessed at offline."""

    salt: str
    digest: str

    def __repr__(self) -> str:
        return "SecretHash([REDACTED])"

    def matches(self, secret: str) -> bool:
        """Whether this is the secret; takes the same time whatever the answer."""
        return hmac.compare_digest(_digest(secret, self.salt), self.digest)

    def written(self) -> str:
        """The text form."""
        return f"sha256:{self.salt}:{self.digest}"


def hash_secret(secret: str, salt: str | None = None) -> SecretHash:
    """The hash of a secret, with a random salt unless one is given."""
    salt = urandom(16).hex() if salt is None else salt
    return SecretHash(salt, _digest(secret, salt))


def parse_hash(text: str) -> SecretHash:
    """The hash in a text. Raises ValueError with a sentence that does not repeat it."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise ValueError("must have the form sha256:<salt>:<64 hexadecimal digits>")
    return SecretHash(match[1], match[2].lower())


def _digest(secret: str, salt: str) -> str:
    salted = secret + sha256(salt.encode()).hexdigest()
    return sha256(salted.encode("utf-8", "surrogatepass")).hexdigest()


NOBODY = hash_secret("", "")
"""Compared with when there is no such key, so that the answer takes as long. `authenticate` refuses it all the same."""
