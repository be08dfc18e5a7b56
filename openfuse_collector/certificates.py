"""Errors about the files of a TLS block: they name the setting, the file and what is wrong with it."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openfuse_collector.errors import CollectorError


@contextmanager
def certificates(**files: str) -> Iterator[None]:
    """Load `files` (setting -> path, empty: none) inside of this. Raises CollectorError when one cannot be read, or used with the others.

    Each is opened before, because OpenSSL does not say which file it is that it cannot read.
    """
    named = {setting: path for setting, path in files.items() if path}
    for setting, path in named.items():
        try:
            Path(path).open("rb").close()
        except OSError as error:
            raise CollectorError(f"tls: {setting} {path} cannot be read: {error.strerror or error}") from error
    try:
        yield
    except (OSError, ssl.SSLError) as error:
        listed = ", ".join(f"{setting} {path}" for setting, path in named.items())
        raise CollectorError(f"tls: cannot use the certificate files ({listed}): {error}") from error
