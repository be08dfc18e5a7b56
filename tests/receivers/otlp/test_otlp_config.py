"""Settings of the otlp receiver: defaults, mistakes, and that the README knows all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_type_hints

import pytest

import openfuse_collector.receivers.otlp as package
from openfuse_collector.config.nodes import Node
from openfuse_collector.config.parse import parse
from openfuse_collector.config.types import Address, Duration, Size
from openfuse_collector.config.unmarshal import section_of, unmarshal
from openfuse_collector.receivers.otlp import FACTORY
from openfuse_collector.receivers.otlp.config import GrpcConfig, HttpConfig, OtlpConfig, Protocols

README = (Path(package.__file__).parent / "README.md").read_text(encoding="utf-8")


def read(text: str) -> tuple[OtlpConfig | None, list[str]]:
    config, problems = unmarshal(node(text), OtlpConfig)
    return config, [problem.message for problem in problems]


def node(text: str) -> Node:
    root = parse(text, "test.yaml", [])
    assert root is not None
    return root


def test_presence_turns_a_protocol_on_with_its_defaults() -> None:
    config, problems = read("protocols: {grpc: , http: }")
    assert not problems and config == OtlpConfig(Protocols(GrpcConfig(), HttpConfig()))
    assert (config.protocols.grpc.endpoint, config.protocols.http.endpoint) == ("localhost:4317", "localhost:4318")
    assert config.protocols.grpc.max_message == config.protocols.http.max_request_body_size == 64 * 1024 * 1024
    assert read("protocols: {http: }")[0].protocols.grpc is None


def test_everything_can_be_set() -> None:
    config, problems = read("""
protocols:
  grpc:
    endpoint: 0.0.0.0:1
    max_recv_msg_size_mib: 8
    max_concurrent_streams: 100
    include_metadata: true
    keepalive:
      server_parameters: {max_connection_age: 5m, time: 30s}
      enforcement_policy: {min_time: 10s, permit_without_stream: true}
    tls: {cert_file: a.pem, key_file: b.pem, client_ca_file: c.pem}
  http:
    endpoint: :2
    max_request_body_size: 8MiB
    traces_url_path: otlp
    cors: {allowed_origins: [https://a], allowed_headers: [x], exposed_headers: [y], max_age: 7200}
    read_timeout: 0
    idle_timeout: 1m
max_in_flight: 1GiB
""")
    assert not problems and config is not None
    grpc, http = config.protocols.grpc, config.protocols.http
    assert grpc is not None and http is not None and http.cors is not None and grpc.tls is not None
    assert grpc.keepalive.server_parameters.max_connection_age == Duration(300)
    assert grpc.keepalive.enforcement_policy.permit_without_stream
    assert (http.endpoint, http.traces_path, http.cors.max_age) == (Address(":2"), "/otlp", 7200)
    assert (config.max_in_flight, grpc.tls.client_ca_file) == (Size(1 << 30), "c.pem")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{}", "protocols must name at least one protocol, grpc or http"),
        ("protocols: {}", "protocols must name at least one protocol, grpc or http"),
        ("protocols: {grpc: {max_recv_msg_size_mib: 0}}", "max_recv_msg_size_mib must be between 1 and 2047"),
        ("protocols: {grpc: {max_concurrent_streams: -1}}", "max_concurrent_streams must not be negative"),
        ("protocols: {grpc: {tls: {cert_file: x}}}", "key_file must be set"),
        ("protocols: {http: {tls: }}", "cert_file must be set"),
        ("protocols: {http: {max_request_body_size: 0}}", "max_request_body_size must be positive"),
        ("protocols: {http: {traces_url_path: '/{a}'}}", "traces_url_path must be a plain path"),
        ("protocols: {http: {logs_url_path: 'a b'}}", "logs_url_path must be a plain path"),
        (
            "protocols: {http: {logs_url_path: v1/traces}}",
            "traces_url_path and logs_url_path must be paths of their own",
        ),
        ("protocols: {http: {cors: {max_age: -1}}}", "max_age must not be negative"),
        (
            "{protocols: {http: }, max_in_flight: 1MiB}",
            "max_in_flight must be at least as large as max_request_body_size and max_recv_msg_size_mib allow a request to be",
        ),
        ("protocols: {grcp: }", 'unknown key, did you mean "grpc"?'),
    ],
)
def test_mistakes(text: str, problem: str) -> None:
    assert problem in read(text)[1]


def settings_of(cls: type[Any]) -> set[str]:
    names: set[str] = set()
    for field in dataclasses.fields(cls):
        names.add(field.name)
        hint = get_type_hints(cls)[field.name]
        if (section := section_of(hint)) is not None:
            names |= settings_of(section)
    return names


def test_the_readme_has_every_setting_and_metric() -> None:
    missing = {name for name in settings_of(OtlpConfig) | set(FACTORY.metrics) if name not in README}
    assert missing == set()


def test_the_example_in_the_readme_is_valid() -> None:
    example = README.split("```yaml")[1].split("```")[0]
    assert unmarshal(node(example).value["receivers"].value["otlp"], OtlpConfig)[1] == []
