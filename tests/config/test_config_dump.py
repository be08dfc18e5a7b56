"""A configuration as plain data: nothing lost on the way out and back, and no credential in what is masked."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from test_config_wiring import GOOD

from openfuse_collector.config.dump import MASK, dump
from openfuse_collector.config.service import load

pytestmark = pytest.mark.usefixtures("stand_ins")


def dumped(*sets: str, masked: bool = True) -> dict[str, Any]:
    return dump(load([f"yaml:{GOOD}"], sets), masked=masked)


def test_defaults_are_written_out() -> None:
    tree = dumped()
    assert list(tree) == ["receivers", "processors", "connectors", "exporters", "extensions", "service"]
    assert tree["receivers"]["inbound"]["protocols"] == {"grpc": {"endpoint": "localhost:4317", "max_size": "1KiB"}}
    assert tree["exporters"]["outbound"]["timeout"] == "5s"
    assert tree["exporters"]["outbound"]["from"] == "now"
    assert tree["service"]["pipelines"]["traces"]["batch"] == {
        "timeout": "100ms",
        "max_items": 2048,
        "max_bytes": "8MiB",
    }


@pytest.mark.parametrize(
    "override",
    [
        "receivers.inbound.token=$$${MONEY}{x}$$$$",
        "receivers.inbound.protocols.http.tls.cert_file=0123",
        "exporters.outbound.headers={a: '$${b}', 'c: d': 'x: y', e: '#'}",
        "exporters.outbound.limit=null",
        "exporters.outbound.storage=file/x",
        "exporters.outbound.keys=[a, 'b$$$$']",
        "exporters.outbound.tags=[b, a]",
        "exporters.outbound.mode=fast",
        "exporters.outbound.timeout=1h0.5s",
        "exporters.outbound.free={a: [1, 1.5, true, null, '1', 'yes', '1e3', '12:30', 2024-01-02]}",
        "exporters.outbound.path='multi\n\n  line'",
        "exporters.outbound/two.path=é ☃",
        "service.shutdown_timeout=0",
    ],
)
def test_what_is_dumped_unmasked_loads_as_the_same(override: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONEY", "a$b")
    config = load([f"yaml:{GOOD}"], [override])
    text = yaml.safe_dump(dump(config, masked=False), sort_keys=False, allow_unicode=True)
    assert load([f"yaml:{text}"]) == config


@pytest.mark.parametrize(
    "override",
    [
        "receivers.inbound.token=hunter2",
        "exporters.outbound.keys=[hunter2]",
        "exporters.outbound.headers={Authorization: Bearer hunter2}",
        "exporters.outbound.headers={x-api-key: hunter2}",
        "exporters.outbound.headers={X-Custom: Basic hunter2}",
        "exporters.outbound.headers={cookie: hunter2}",
        "exporters.outbound.free={auth: {clientSecret: hunter2}}",
        "exporters.outbound.free={password: [hunter2]}",
        "exporters.outbound.free={credentials: {user: hunter2}}",
        "exporters.outbound.free={access-key: hunter2}",
        "exporters.outbound.free={nested: [{db.password: hunter2}]}",
        "exporters.outbound.path=https://me:hunter2@host/x",
        "exporters.outbound.path=https://me:a/hunter2@host/x",
        "exporters.outbound.path=https://me:a@hunter2@host/x",
        "exporters.outbound.path=https://hunter2@host/x",
        "exporters.outbound.path=https://host/x?a=1&api_key=hunter2&b=2",
        "exporters.outbound.path=https://host/x?access_token=hunter2",
    ],
)
def test_credentials_are_masked(override: str) -> None:
    masked = str(dumped(override))
    assert "hunter2" not in masked
    assert MASK in masked
    assert "hunter2" in str(dumped(override, masked=False))


@pytest.mark.parametrize(
    "override",
    [
        "exporters.outbound.free={max_tokens: 100}",
        "exporters.outbound.free={public_key: pk-1}",
        "exporters.outbound.free={tokenizer: o200k}",
        "exporters.outbound.free={token_file: /run/token}",
        "exporters.outbound.free={password: null}",
        "exporters.outbound.path=http://localhost:4318/v1@x",
        "exporters.outbound.path=https://host/x?a=1",
    ],
)
def test_what_is_no_credential_is_shown(override: str) -> None:
    assert dumped(override)["exporters"] == dumped(override, masked=False)["exporters"]


def test_numbers_can_be_credentials() -> None:
    assert dumped("exporters.outbound.free={password: 1234}")["exporters"]["outbound"]["free"] == {"password": MASK}
