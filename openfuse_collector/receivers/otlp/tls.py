"""Certificates of a TLS block, as the two servers want them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from openfuse_collector.certificates import certificates
from openfuse_collector.receivers.otlp.config import TlsConfig

if TYPE_CHECKING:
    import grpc


def ssl_context(config: TlsConfig) -> ssl.SSLContext:
    """For the HTTP server. Raises CollectorError when a file cannot be used."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    with certificates(cert_file=config.cert_file, key_file=config.key_file, client_ca_file=config.client_ca_file):
        context.load_cert_chain(config.cert_file, config.key_file)
        if config.client_ca_file:
            context.load_verify_locations(config.client_ca_file)
            context.verify_mode = ssl.CERT_REQUIRED
    return context


def grpc_credentials(config: TlsConfig) -> grpc.ServerCredentials:
    """For the gRPC server. Raises CollectorError when a file cannot be used."""
    import grpc

    ssl_context(config)  # gRPC itself would not say what is wrong
    pair = (Path(config.key_file).read_bytes(), Path(config.cert_file).read_bytes())
    authority = Path(config.client_ca_file).read_bytes() if config.client_ca_file else None
    return grpc.ssl_server_credentials([pair], authority, require_client_auth=authority is not None)
