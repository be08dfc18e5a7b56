"""Errors about certificate files name the setting, the file and the cause."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from openfuse_collector.certificates import certificates
from openfuse_collector.errors import CollectorError


def test_the_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text("")
    with (
        pytest.raises(CollectorError, match=rf"^tls: key_file {key} cannot be read: No such file or directory$"),
        certificates(cert_file=str(cert), key_file=str(key), client_ca_file=""),
    ):
        raise AssertionError("nothing is loaded")


def test_files_that_cannot_be_used_together_are_all_named(tmp_path: Path) -> None:
    cert = tmp_path / "cert.pem"
    cert.write_text("no certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with (
        pytest.raises(CollectorError, match=rf"certificate files \(cert_file {cert}, key_file {cert}\): "),
        certificates(cert_file=str(cert), key_file=str(cert)),
    ):
        context.load_cert_chain(cert, cert)
