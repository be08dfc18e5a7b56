"""Scalar types a component's config may use; the unmarshaller parses and checks them."""

from __future__ import annotations


class Duration(float):
    """Seconds, written like Go durations: `200ms`, `5s`, `1h30m`; a bare `0` is fine."""


class Size(int):
    """Bytes, written `64MiB`, `1.5GB` or a plain number."""


class Secret(str):
    """Text that never shows: `str()` and `repr()` are masked, `reveal()` gives the value."""

    def __str__(self) -> str:
        return "[REDACTED]"

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def reveal(self) -> str:
        """The value itself, for the one place that must send or compare it."""
        return str.__str__(self)


class Address(str):
    """`host:port`; a bare `:4317` means every interface."""

    @property
    def host(self) -> str:
        """The host part, `0.0.0.0` when it is empty."""
        return self.rpartition(":")[0].strip("[]") or "0.0.0.0"  # noqa: S104

    @property
    def port(self) -> int:
        """The port number."""
        return int(self.rpartition(":")[2])
