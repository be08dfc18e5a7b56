"""The exception tree every component speaks.

CollectorError
├── ConfigError            a configuration that cannot be used (exit code 1, located messages)
└── ConsumeError           data was not taken
    ├── PermanentError     never retry: the data itself is at fault
    │   └── PartialError   some items were rejected for good, the others were taken
    └── RetryableError     try again, no sooner than `after` seconds
        ├── OverloadError  a bound of ours is reached (journal full, too much in flight)
        └── SuspectError   the destination failed inside: it is sick, or something in the data makes it fail

Anything else that escapes a component is a bug: it is counted, logged with the component's id and retried a bounded number of times.
"""

from __future__ import annotations


class CollectorError(Exception):
    """Any error this project raises on purpose."""


class ConfigError(CollectorError):
    """A configuration that cannot be used. `problems` holds one located sentence per mistake."""

    def __init__(self, *problems: str) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class ConsumeError(CollectorError):
    """Data was not taken."""


class PermanentError(ConsumeError):
    """The data itself is at fault; sending it again cannot help."""


class PartialError(PermanentError):
    """`rejected` items were refused for good, every other item of the call was taken."""

    def __init__(self, rejected: int, reason: str) -> None:
        self.rejected = rejected
        super().__init__(reason)


class RetryableError(ConsumeError):
    """The data is fine, the moment is not. `after` is the wish of the destination, in seconds.

    `kind` is a word for the cause that does not change from one attempt to the next: the log says once a minute what fails, by kind.
    """

    def __init__(self, reason: str, after: float | None = None, kind: str = "") -> None:
        self.after = after
        self.kind = kind
        super().__init__(reason)


class OverloadError(RetryableError):
    """A bound of ours is reached; the sender should come back after `after` seconds."""


class SuspectError(RetryableError):
    """The destination failed in a way that says nothing about whose fault it is.

    Only destinations that may be given the same data twice raise it: to tell, a batch is tried again in parts.
    """
