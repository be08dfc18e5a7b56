"""Scalar types a component's config may use; `parse` reads what a user wrote, or raises ValueError with a sentence.

The sentence quotes what was written, or what is given as `shown` instead: what came from a variable may be a secret.
"""

from __future__ import annotations

import re
from typing import Self

MIB = 1024 * 1024
LONGEST_DAYS = 36_500
"""A duration may be as long as a hundred years; Python waits no longer than 292."""

_NANOSECONDS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NANOSECONDS["d"] = 24 * _NANOSECONDS["h"]
_NANOSECONDS |= {"µs": 10**3, "μs": 10**3}  # micro sign and Greek mu, as in Go
_BYTES = {
    "B": 1,
    **{f"{letter}B": 1000**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
}
_BYTES_FOLDED = {unit.lower(): size for unit, size in _BYTES.items()}

_DURATION_PART = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_NUMBER = re.compile(r"\d+\.?\d*|\.\d+")
_SIZE = re.compile(r"(\d+\.?\d*|\.\d+)\s*([A-Za-z]*)")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/]*):(\d{1,5})")


class Duration(float):
    """Seconds, written like Go durations: `200ms`, `5s`, `1h30m`; days as well, `30d`; a bare `0` is fine."""

    @classmethod
    def parse(cls, text: str, shown: str = "") -> Self:
        """Seconds, exact to the nanosecond."""
        shown = shown or text
        if _DURATION.fullmatch(text):
            parts = [float(number) * _NANOSECONDS[unit] for number, unit in _DURATION_PART.findall(text)]
            if sum(parts) > LONGEST_DAYS * _NANOSECONDS["d"]:
                raise ValueError(f'"{shown}" is too long: at most {LONGEST_DAYS}d')
            return cls(sum(round(part) for part in parts) / 1e9)
        if not _NUMBER.fullmatch(text):
            units = "ns, us, ms, s, m, h, d"
            raise ValueError(f'"{shown}" is not a duration: write a number and a unit ({units}), like 200ms or 1h30m')
        if float(text):
            raise ValueError(f"a duration needs a unit: write {shown}s for seconds or {shown}ms for milliseconds")
        return cls(0)

    def written(self) -> str:
        """The shortest text that parses to the same duration."""
        total = round(self * 1e9)
        if 0 < total < 10**9:
            unit = next(unit for unit in ("ms", "us", "ns") if total >= _NANOSECONDS[unit])
            return f"{_decimal(total, _NANOSECONDS[unit])}{unit}"
        if total and total % _NANOSECONDS["d"] == 0 and total > _NANOSECONDS["d"]:
            return f"{total // _NANOSECONDS['d']}d"
        minutes, rest = divmod(total, _NANOSECONDS["m"])
        hours, minutes = divmod(minutes, 60)
        parts = ((str(hours), "h"), (str(minutes), "m"), (_decimal(rest, 10**9), "s"))
        return "".join(number + unit for number, unit in parts if number != "0") or "0s"


class Size(int):
    """Bytes, written `64MiB`, `1.5GB` or a plain number."""

    @classmethod
    def parse(cls, text: str, shown: str = "") -> Self:
        """Bytes; the letters of the unit may be of either case."""
        match = _SIZE.fullmatch(text)
        unit = _BYTES_FOLDED.get((match[2] or "B").lower()) if match else None
        if match is None or unit is None:
            valid = ", ".join(_BYTES)
            raise ValueError(
                f'"{shown or text}" is not a size: write bytes, or a number and a unit ({valid}), like 64MiB'
            )
        return cls(round(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit)

    def written(self) -> str | int:
        """`64MiB` where a binary unit fits exactly, else the number."""
        fitting = (unit for unit in ("TiB", "GiB", "MiB", "KiB") if self and self % _BYTES[unit] == 0)
        unit = next(fitting, None)
        return f"{self // _BYTES[unit]}{unit}" if unit else int(self)


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

    @classmethod
    def parse(cls, text: str, shown: str = "") -> Self:
        """The address as written, once it has a port and a host that can be told from it."""
        match = _ADDRESS.fullmatch(text)
        if match is None:
            raise ValueError(f'"{shown or text}" is not an address: write host:port, like localhost:4317 or [::1]:4317')
        if int(match[2]) > 65535:
            raise ValueError(f'"{shown or text}" has no valid port: it is above 65535')
        return cls(text)

    @property
    def host(self) -> str:
        """The host part, `0.0.0.0` when it is empty."""
        return self.rpartition(":")[0].strip("[]") or "0.0.0.0"  # noqa: S104

    @property
    def port(self) -> int:
        """The port number."""
        return int(self.rpartition(":")[2])


def _decimal(amount: int, unit: int) -> str:
    """`amount / unit` in decimal digits, without float rounding; units are 60 or powers of ten."""
    whole, rest = divmod(amount, unit)
    fraction = str(rest).rjust(len(str(unit)) - 1, "0").rstrip("0")
    return f"{whole}.{fraction}" if fraction else str(whole)
