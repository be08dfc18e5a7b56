"""Settings of the `langfuse` receiver."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from openfuse_collector.config.types import MIB, Address, Duration, Size


@dataclass(frozen=True)
class MediaConfig:
    """Where images, audio and files go that SDKs take out of inputs and outputs. Off until `directory` is given."""

    directory: Path
    max_size: Size = Size(100 * MIB)
    """Of one file. Langfuse itself takes up to 1 GB."""
    max_total_size: Size = Size(10 * 1024 * MIB)
    """Of all files, 4 KiB for the record of each among them. Beyond it uploads are refused; nothing that was uploaded is deleted."""
    url: str = ""
    """How clients reach this collector, `https://collector.example.com`; the Host header of their request when empty."""
    url_validity: Duration = Duration(3600)
    """How long a signed upload or download address works."""

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_size <= 0:
            yield "max_size must be positive"
        if self.max_total_size < self.max_size:
            yield "max_total_size must be at least max_size"
        if self.url and not self.url.startswith(("http://", "https://")):
            yield "url must begin with http:// or https://"
        if self.url_validity <= 0:
            yield "url_validity must be positive"


@dataclass(frozen=True)
class LangfuseConfig:
    """The Langfuse API, on the port of OTLP/HTTP or on one of its own."""

    endpoint: Address | None = None
    """A port of its own; beside OTLP/HTTP when not given."""
    max_request_body_size: Size = Size(20 * MIB)
    """Larger bodies, before or after decompression, are refused for good. Langfuse takes 4.5 MB, its SDKs send up to 2.5 MB."""
    max_in_flight: Size = Size(128 * MIB)
    """Bytes of all requests that are being received or written at a time; beyond it senders are told to retry."""
    read_timeout: Duration = Duration(30)
    """For a whole body to arrive; 0 waits for ever."""
    sampling: Mapping[str, float] = field(default_factory=dict)
    """Project id -> share of its traces to keep, from 0 to 1. Projects that are not named keep all."""
    cors_allowed_origins: tuple[str, ...] = ("*",)
    """Web pages that may send scores and events from a browser; `*` stands for any run of characters."""
    media: MediaConfig | Literal["off"] = "off"

    def validate(self) -> Iterator[str]:
        """One sentence per mistake on this level."""
        if self.max_request_body_size <= 0:
            yield "max_request_body_size must be positive"
        if self.max_in_flight < self.max_request_body_size:
            yield "max_in_flight must be at least max_request_body_size"
        for project, rate in self.sampling.items():
            if not 0 <= rate <= 1:
                yield f'sampling must be between 0 and 1, also for project "{project}"'
