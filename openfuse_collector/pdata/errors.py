"""What can be wrong with a request before anything looks at what it means.

PermanentError
├── BadDataError       undecodable, or not what the path takes
├── TooLargeError      beyond a size limit, as sent or inflated
└── TooManyError       beyond a limit on what is in it
RetryableError
└── DeadlineError      the sender's deadline, or ours, passed before the data was durable
"""

from __future__ import annotations

from openfuse_collector.errors import PermanentError, RetryableError


class BadDataError(PermanentError):
    """The request cannot be decoded, or does not belong here."""


class TooLargeError(PermanentError):
    """The request is larger than a limit, as sent or inflated."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        super().__init__(f"the request is larger than {limit} bytes")


class TooManyError(PermanentError):
    """More is in the request than is decoded of one, whatever its size."""

    def __init__(self, most: int, what: str) -> None:
        super().__init__(f"the request has more than {most:,} {what}: send it in parts")


class DeadlineError(RetryableError):
    """The answer could not be given in time. The data may have been kept; sending it again does no harm."""
