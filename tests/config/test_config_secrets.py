"""What variables and files hold shows in no message: the reference does, so that the mistake can be found."""

from __future__ import annotations

from pathlib import Path

import pytest

from openfuse_collector.config.service import load
from openfuse_collector.errors import ConfigError

SECRETS = {
    "a key": "sk-lf-VERYSECRET",
    "a word": "VERYSECRET",
    "digits": "73217321",
    "a fraction": "7321.5",
    "a map": "VERYSECRET: VERYSECRET",
    "maps in a map": "{VERYSECRET: {VERYSECRET: [VERYSECRET]}}",
    "a list": "[VERYSECRET, {VERYSECRET: VERYSECRET}]",
    "no YAML": "VERY{SECRET: [VERYSECRET",
    "an id": "VERYSECRET / VERYSECRET",
    "a reference to nothing": "VERYSECRET-${env:VERYSECRET}",
    "a reference to no variable": "x${VERYSECRET-VERYSECRET}",
    "a scheme nobody knows": "x${VERYSECRET:VERYSECRET}",
    "a file that is not there": "${file:VERYSECRET}",
    "a reference without an end": "VERYSECRET${VERYSECRET",
    "a reference to itself": "VERYSECRET${env:SK}",
    "a port": "localhost:73217",
    "an address": "VERYSECRET:VERYSECRET",
}
HIDDEN = ("VERYSECRET", "73217", "7321")

PLACES = {
    "a list of sections": "extensions: {api_keys: {projects: [{id: a, keys: ['REFERENCE']}]}}",
    "in the place of a list": "extensions: {api_keys: {projects: [{id: a, keys: 'REFERENCE'}]}}",
    "in the place of sections": "extensions: {api_keys: {projects: 'REFERENCE'}}",
    "in the place of a section": "extensions: {api_keys: 'REFERENCE'}",
    "in the place of components": "extensions: 'REFERENCE'",
    "a duration": "extensions: {api_keys: {failure_delay: 'REFERENCE', file: /x}}",
    "a switch": "extensions: {api_keys: {environment: 'REFERENCE', file: /x}}",
    "an address": "receivers: {otlp: {protocols: {http: {endpoint: 'REFERENCE'}}}}",
    "a size": "receivers: {otlp: {protocols: {grpc: {}}, max_in_flight: 'REFERENCE'}}",
    "a number": "receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: 'REFERENCE'}}}}",
    "a path that is checked": "receivers: {otlp: {protocols: {http: {traces_url_path: '?REFERENCE'}}}}",
    "numbers that do not fit": (
        "{receivers: {otlp: {protocols: {http: {max_request_body_size: 'REFERENCE'}}, max_in_flight: 1}},"
        " service: {memory_limiter: {limit_mib: 'REFERENCE', spike_limit_mib: 'REFERENCE'}}}"
    ),
    "a choice": "service: {telemetry: {logs: {level: 'REFERENCE'}}}",
    "a receiver": "service: {pipelines: {traces: {receivers: ['REFERENCE']}}}",
    "receivers": "service: {pipelines: {traces: {receivers: 'REFERENCE'}}}",
    "twice an exporter": "service: {pipelines: {traces: {exporters: ['REFERENCE', 'REFERENCE']}}}",
    "pipelines": "service: {pipelines: 'REFERENCE'}",
    "an extension": "service: {extensions: ['REFERENCE']}",
    "shares": "receivers: {langfuse: {sampling: 'REFERENCE'}}",
    "a share": "receivers: {langfuse: {sampling: {a: 'REFERENCE'}}}",
    "inside a text": "extensions: {api_keys: {failure_delay: 'xREFERENCE', file: /x}}",
    "the name of a variable": "extensions: {api_keys: {failure_delay: '${env:REFERENCE}', file: /x}}",
    "the name of a file": "extensions: {api_keys: {failure_delay: '${file:REFERENCE}', file: /x}}",
    "a public key that is there twice": (
        "extensions: {api_keys: {projects: [{id: a, keys: [{public_key: 'REFERENCE', secret_key: a},"
        " {public_key: 'REFERENCE', secret_key: b}]}]}}"
    ),
}


def told(*sources: str, sets: tuple[str, ...] = ()) -> str:
    """Everything a user is told of a configuration that cannot be used."""
    warnings: list[str] = []
    with pytest.raises(ConfigError) as error:
        load(sources, sets, warnings.append)
    return "\n".join([*warnings, *error.value.problems])


def assert_hidden(text: str, reference: str) -> None:
    assert not any(part.lower() in text.lower() for part in HIDDEN), text
    assert reference in text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS)
def test_what_a_variable_holds_is_never_shown(secret: str, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SK", SECRETS[secret])
    text = told("yaml:" + PLACES[place].replace("REFERENCE", "${env:SK}"))
    assert not any(part.lower() in text.lower() for part in HIDDEN), text


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("secret", SECRETS)
def test_what_a_file_holds_is_never_shown(
    secret: str, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But for the names in a piece of configuration, which has lines of its own."""
    monkeypatch.chdir(tmp_path)
    Path("sk").write_text(SECRETS[secret] + "\n")
    text = told("yaml:" + PLACES[place].replace("REFERENCE", "${file:sk}"))
    if not any(bracket in SECRETS[secret] for bracket in (": ", "[")):
        assert not any(part.lower() in text.lower() for part in HIDDEN), text


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "extensions: {api_keys: {projects: [{id: a, keys: ['${env:SK}']}]}}",
            'extensions::api_keys::projects::0::keys::0: expected a map, got the text "${env:SK}"',
        ),
        (
            "extensions: {api_keys: {projects: [{id: a, keys: '${env:SK}'}]}}",
            'extensions::api_keys::projects::0::keys: expected a list, got the text "${env:SK}": write [${env:SK}]',
        ),
        (
            "extensions: {api_keys: {failure_delay: '${env:SK}', file: /x}}",
            'extensions::api_keys::failure_delay: "${env:SK}" is not a duration: write a number and a unit',
        ),
        (
            "extensions: {api_keys: {failure_delay: '${env:SECONDS}', file: /x}}",
            "a duration needs a unit: write ${env:SECONDS}s for seconds or ${env:SECONDS}ms for milliseconds",
        ),
        (
            "receivers: {otlp: {protocols: {http: {endpoint: 'http://${env:HOST:-x}:1'}}}}",
            'endpoint: "http://${env:HOST:-x}:1" is not an address: write host:port',
        ),
        (
            "receivers: {otlp: {protocols: {grpc: {max_recv_msg_size_mib: '${env:SK}'}}}}",
            'max_recv_msg_size_mib: expected a whole number, got the text "${env:SK}"',
        ),
        (
            "service: {telemetry: {logs: {level: '${env:SK}'}}}",
            'service::telemetry::logs::level: "${env:SK}" is not one of debug, info, warn, error',
        ),
        (
            "service: {pipelines: {traces: {receivers: ['${env:NAME}']}}}",
            'service::pipelines::traces: references receiver "${env:NAME}" which is not configured',
        ),
        (
            "extensions: {api_keys: {projects: '${env:PROJECTS}'}}",
            'extensions::api_keys::projects::0::${env:PROJECTS}: unknown key, did you mean "keys"?',
        ),
        (
            "receivers: '${env:COMPONENTS}'",
            'receivers::${env:COMPONENTS}: unknown type: "${env:COMPONENTS}" (valid values: [',
        ),
        (
            "{connectors: {genai: {}}, service: {pipelines: '${env:PIPELINES}'}}",
            'service::pipelines::${env:PIPELINES}: connectors form a circle: "${env:PIPELINES}" -> "${env:PIPELINES}"',
        ),
        (
            "extensions: {api_keys: {failure_delay: '${env:OTHER}', file: /x}}",
            "the environment variable named in ${env:OTHER} is not set and the reference has no default",
        ),
        (
            "extensions: {api_keys: {failure_delay: '${env:FILE}', file: /x}}",
            "the file named in ${env:FILE} cannot be read: No such file or directory",
        ),
        (
            "extensions: {api_keys: {failure_delay: '${env:${env:NAME}}', file: /x}}",
            "the environment variable ${env:NAME} is not set",
        ),
        (
            "extensions: {api_keys: {failure_delay: '${file:${env:NAME}}', file: /x}}",
            "the file ${env:NAME} cannot be read: No such file or directory",
        ),
    ],
)
def test_the_reference_stands_in_the_place_of_the_value(
    config: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in {
        "SK": "sk-lf-VERYSECRET",
        "SECONDS": "7321",
        "NAME": "VERYSECRET",
        "PROJECTS": "[{id: a, kyes: [VERYSECRET]}]",
        "PIPELINES": "{events/VERYSECRET: {receivers: [genai], exporters: [genai]}}",
        "OTHER": "${env:VERYSECRET}",
        "FILE": "${file:VERYSECRET}",
        "COMPONENTS": "{VERYSECRET/a: {VERYSECRET: 1}}",
    }.items():
        monkeypatch.setenv(name, text)
    monkeypatch.delenv("HOST", raising=False)
    text = told("yaml:" + config)
    assert message in text
    assert not any(part in text for part in HIDDEN)


def test_a_whole_configuration_in_a_variable_names_its_settings_and_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONFIG", "receivers:\n  otlp:\n    protcols: {}\n    max_in_flight: VERYSECRET\n")
    text = told("env:CONFIG")
    assert 'env:CONFIG:3: receivers::otlp::protcols: unknown key, did you mean "protocols"?' in text
    assert 'env:CONFIG:4: receivers::otlp::max_in_flight: "${env:CONFIG}" is not a size' in text
    assert "VERYSECRET" not in text


@pytest.mark.parametrize(
    "secret", ["VERYSECRET", "receivers: VERYSECRET", "a: VERY${VERYSECRET-x}${env:UNSET_VERYSECRET}"]
)
def test_a_source_that_is_no_configuration_is_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SK", secret)
    text = told("env:SK")
    assert "VERYSECRET" not in text and "env:SK" in text


def test_an_override_that_names_a_variable_does_not_show_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SK", "VERYSECRET")
    text = told("yaml:receivers: {otlp: }", sets=("receivers.otlp.max_in_flight=${env:SK}",))
    assert_hidden(text, '"${env:SK}" is not a size')


def test_a_piece_of_configuration_in_a_file_names_its_lines(tmp_path: Path) -> None:
    piece = tmp_path / "piece.yaml"
    piece.write_text("- id: a\n  kyes: []\n- VERYSECRET\n")
    text = told(f"yaml:extensions: {{api_keys: {{projects: '${{file:{piece}}}'}}}}")
    assert f'{piece}:2: extensions::api_keys::projects::0::kyes: unknown key, did you mean "keys"?' in text
    assert f'{piece}:3: extensions::api_keys::projects::1: expected a map, got the text "${{file:{piece}}}"' in text
