"""Keys: where they come from, how they are compared, what never shows, and what a reload does."""

from __future__ import annotations

import base64
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from openfuse_collector.auth import (
    INVALID_CREDENTIALS,
    INVALID_HEADER,
    INVALID_PUBLIC_KEY,
    NO_HEADER,
    Authenticator,
    AuthError,
    Identity,
    OpenDoor,
    Scope,
    credentials_of,
)
from openfuse_collector.config.nodes import Position
from openfuse_collector.config.parse import parse
from openfuse_collector.config.types import Secret
from openfuse_collector.config.unmarshal import unmarshal
from openfuse_collector.errors import CollectorError
from openfuse_collector.extensions.api_keys import FACTORY
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.extensions.api_keys.secrets import hash_secret, parse_hash
from openfuse_collector.telemetry.metrics import Metrics
from tests.builders import metric, settings

SECRET = "sk-lf-11111111-secret"
PROJECT = ProjectConfig("shop", "The shop", (KeyConfig("pk-lf-1", Secret(SECRET)),))


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(text.encode()).decode()}


class Made:
    """An extension with its logs and metrics."""

    def __init__(self, config: ApiKeysConfig) -> None:
        self.logs, self.metrics = LogCapture(), Metrics()
        log = structlog.wrap_logger(None, processors=[self.logs])
        self.keys: Any = FACTORY.create(replace(settings("api_keys", self.metrics), log=log), config)

    def refusal(self, headers: dict[str, str]) -> AuthError:
        with pytest.raises(AuthError) as caught:
            self.keys.authenticate(headers)
        return caught.value

    def identity(self, headers: dict[str, str]) -> Identity:
        identity = self.keys.authenticate(headers)
        assert isinstance(identity, Identity)
        return identity


def test_a_key_pair_is_its_project() -> None:
    made = Made(ApiKeysConfig((PROJECT,)))
    assert made.identity(basic(f"pk-lf-1:{SECRET}")) == Identity("shop", "pk-lf-1", Scope.PROJECT, "The shop")
    assert made.identity(basic(f"pk-lf-1:{SECRET}:more")).project_id == "shop"
    assert made.identity({"authorization": "bearer pk-lf-1"}) == Identity("shop", "pk-lf-1", Scope.SCORES, "The shop")
    authenticator: Authenticator = made.keys
    assert authenticator.authenticate({"Authorization": f"Basic {basic(f'pk-lf-1:{SECRET}')['authorization'][6:]}"})
    assert metric(made.metrics, "openfuse_auth_requests_total", extension="api_keys", outcome="passed") == 4


REFUSED = {
    "none": ({}, NO_HEADER),
    "empty": ({"authorization": ""}, NO_HEADER),
    "other scheme": ({"authorization": f"Token {SECRET}"}, INVALID_HEADER),
    "no base64": ({"authorization": f"Basic {SECRET}"}, INVALID_HEADER),
    "no UTF-8": ({"authorization": "Basic " + base64.b64encode(b"pk:\xff").decode()}, INVALID_HEADER),
    "no colon": (basic("pk-lf-1"), INVALID_HEADER),
    "no secret": (basic("pk-lf-1:"), INVALID_HEADER),
    "no public key": (basic(f":{SECRET}"), INVALID_HEADER),
    "wrong secret": (basic(f"pk-lf-1:{SECRET}x"), INVALID_CREDENTIALS),
    "secret of another case": (basic(f"pk-lf-1:{SECRET.upper()}"), INVALID_CREDENTIALS),
    "unknown public key": (basic(f"pk-lf-2:{SECRET}"), INVALID_CREDENTIALS),
    "unknown bearer": ({"authorization": "Bearer pk-lf-2"}, INVALID_PUBLIC_KEY),
    "secret as bearer": ({"authorization": f"Bearer {SECRET}"}, INVALID_PUBLIC_KEY),
    "bearer of nothing": ({"authorization": "Bearer "}, INVALID_HEADER),
}


@pytest.mark.parametrize(("headers", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(headers: dict[str, str], message: str) -> None:
    made = Made(ApiKeysConfig((PROJECT,)))
    error = made.refusal(headers)
    assert (str(error), error.status, error.delay) == (message, 401, 0.25)
    assert error.__cause__ is None and (error.__context__ is None or error.__suppress_context__)
    assert metric(made.metrics, "openfuse_auth_requests_total", extension="api_keys", outcome="failed") == 1


def test_the_hash_is_langfuses() -> None:
    """`fast_hashed_secret_key` of its api_keys table: sha256(secret + sha256(SALT))."""
    stored = sha256((SECRET + sha256(b"its-salt").hexdigest()).encode()).hexdigest()
    assert parse_hash(f"sha256:its-salt:{stored}").matches(SECRET)
    assert not parse_hash(f"sha256:other-salt:{stored}").matches(SECRET)
    assert hash_secret(SECRET, "its-salt").written() == f"sha256:its-salt:{stored}"
    assert hash_secret(SECRET) != hash_secret(SECRET)
    assert parse_hash(hash_secret(SECRET).written().upper().replace("SHA256", "sha256")).salt != ""


@pytest.mark.parametrize("text", ["", "abc", "sha256:salt:12", "md5:salt:" + "0" * 64, "sha256:a:b:" + "0" * 64])
def test_text_that_is_no_hash(text: str) -> None:
    with pytest.raises(ValueError, match="must have the form") as caught:
        parse_hash(text)
    assert not text or text not in str(caught.value)


def test_hashed_keys_in_the_configuration() -> None:
    hashed = KeyConfig("pk-lf-2", secret_hash=Secret(hash_secret(SECRET).written()))
    made = Made(ApiKeysConfig((ProjectConfig("p", keys=(hashed,)),)))
    assert made.identity(basic(f"pk-lf-2:{SECRET}")) == Identity("p", "pk-lf-2", Scope.PROJECT, "p")


def test_no_secret_shows() -> None:
    hash = hash_secret(SECRET)
    config = ApiKeysConfig(
        (ProjectConfig("p", keys=(KeyConfig("a", Secret(SECRET)), KeyConfig("b", secret_hash=Secret(hash.written())))),)
    )
    made = Made(config)
    shown = [repr(config), repr(made.keys._keys), repr(hash), str(hash), f"{config}"]
    shown += [repr(made.refusal(headers)) for headers, _ in REFUSED.values()]
    assert all(SECRET not in text and hash.digest not in text for text in shown)


def problems_of(text: str) -> list[str]:
    found: list[Any] = []
    node = parse(text, "keys.yaml", found)
    assert node is not None and node.at == Position("keys.yaml", 1, 1)
    return [str(problem) for problem in [*found, *unmarshal(node, ApiKeysConfig)[1]]]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("projects: []", "projects must name a project"),
        ("projects: [{id: ''}]", "id must not be empty"),
        ("projects: [{id: p, keys: [{public_key: pk}]}]", "secret_key or secret_hash must be set, and not both"),
        (
            f"projects: [{{id: p, keys: [{{public_key: pk, secret_hash: '{SECRET}'}}]}}]",
            "secret_hash must have the form",
        ),
        ("projects: [{id: p, keys: [{public_key: 'a:b', secret_key: s}]}]", "public_key must be text without a colon"),
        ("projects: [{id: p, keys: [{public_key: a, secret_key: 's:t'}]}]", "secret_key must not hold a colon"),
        (
            "projects: [{id: p, keys: [{public_key: a, secret_key: s}]}, {id: q, keys: [{public_key: a, secret_key: t}]}]",
            'projects must have different public keys: "a" is there 2 times',
        ),
        ("environment: true", "environment is on, but LANGFUSE_INIT_PROJECT_PUBLIC_KEY is not set"),
    ],
)
def test_mistakes_in_the_configuration(text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LANGFUSE_INIT_PROJECT_PUBLIC_KEY", raising=False)
    [found] = problems_of(text)
    assert problem in found and SECRET not in found


def test_the_variables_langfuse_is_set_up_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGFUSE_INIT_PROJECT_PUBLIC_KEY", "pk-env")
    monkeypatch.setenv("LANGFUSE_INIT_PROJECT_SECRET_KEY", SECRET)
    made = Made(ApiKeysConfig(environment=True))
    assert made.identity(basic(f"pk-env:{SECRET}")).project_id == "default"
    monkeypatch.setenv("LANGFUSE_INIT_PROJECT_ID", "env")
    made.keys.reload()
    assert made.identity(basic(f"pk-env:{SECRET}")).project_id == "env"
    monkeypatch.delenv("LANGFUSE_INIT_PROJECT_SECRET_KEY")
    with pytest.raises(
        CollectorError, match="extensions::api_keys: environment: secret_key or secret_hash must be set"
    ):
        Made(ApiKeysConfig(environment=True))


def keys_file(path: Path, *public_keys: str) -> Path:
    lines = [f"      - {{public_key: {key}, secret_key: {SECRET}}}" for key in public_keys]
    path.write_text("\n".join(["projects:", "  - id: filed", "    keys:", *lines]))
    return path


def test_a_reload_takes_the_file_as_it_is_now(tmp_path: Path) -> None:
    file = keys_file(tmp_path / "keys.yaml", "pk-a", "pk-b")
    made = Made(ApiKeysConfig((PROJECT,), file))
    assert made.identity(basic(f"pk-b:{SECRET}")).project_id == "filed"
    keys_file(file, "pk-a", "pk-c")
    made.keys.reload()
    assert made.identity(basic(f"pk-c:{SECRET}")).project_id == "filed"
    assert made.identity(basic(f"pk-lf-1:{SECRET}")).project_id == "shop"
    assert str(made.refusal(basic(f"pk-b:{SECRET}"))) == INVALID_CREDENTIALS
    assert made.logs.entries[-1]["event"] == "keys reloaded" and made.logs.entries[-1]["keys"] == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("projects: [", "not valid YAML"),
        ("projekts: []", 'unknown key, did you mean "projects"?'),
        (f"projects: [{{id: p, keys: [{{public_key: pk, secret_key: {SECRET}, secret_hash: x}}]}}]", "and not both"),
        (f"projects: [{{id: p, keys: [{{public_key: pk-lf-1, secret_key: {SECRET}}}]}}]", "different public keys"),
        (f"projects: [{{id: p, keys: {SECRET}}}]", "expected a list"),
        (None, "cannot be read"),
    ],
)
def test_a_reload_with_mistakes_changes_nothing(tmp_path: Path, text: str | None, problem: str) -> None:
    file = keys_file(tmp_path / "keys.yaml", "pk-a")
    made = Made(ApiKeysConfig((PROJECT,), file))
    file.unlink()
    if text is not None:
        file.write_text(text)
    made.keys.reload()
    assert made.identity(basic(f"pk-a:{SECRET}")).project_id == "filed"
    entry = made.logs.entries[-1]
    assert entry["log_level"] == "error" and any(problem in line for line in entry["problems"])
    assert SECRET not in str(made.logs.entries)


def test_a_file_with_mistakes_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "keys.yaml").write_text("projects:\n  - name: x\n")
    with pytest.raises(CollectorError, match=r"extensions::api_keys: .*keys.yaml:2.*id.*must be set"):
        Made(ApiKeysConfig(file=tmp_path / "keys.yaml"))


def test_the_open_door_lets_everyone_in() -> None:
    door: Authenticator = OpenDoor()
    assert door.authenticate({}) == Identity("default")
    assert door.authenticate(basic("pk-x:any")) == Identity("default", "pk-x", Scope.PROJECT)
    assert door.authenticate({"authorization": "Bearer pk-y"}) == Identity("default", "pk-y", Scope.PROJECT)
    assert door.authenticate({"authorization": "nonsense"}) == Identity("default")
    assert len(door.authenticate(basic("p" * 5000 + ":s")).public_key) == 256


def test_what_a_header_holds() -> None:
    assert credentials_of(basic("pk:sk")) == ("pk", "sk")
    assert credentials_of({"authorization": "Bearer pk"}) == ("pk", None)
