"""The receiver's settings and life: what YAML makes of them, mistakes, start and stop, and that everything is documented."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from langfuse_harness import ANYWHERE, RecordingIntake, Start

from openfuse_collector.config.parse import parse
from openfuse_collector.config.types import Address, Size
from openfuse_collector.config.unmarshal import keys, unmarshal
from openfuse_collector.errors import CollectorError
from openfuse_collector.extensions.api_keys import FACTORY as API_KEYS
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.receivers.langfuse import FACTORY
from openfuse_collector.receivers.langfuse.config import LangfuseConfig, MediaConfig
from openfuse_collector.receivers.langfuse.receiver import LangfuseReceiver
from tests.builders import settings

PACKAGE = Path(__file__).parents[3] / "openfuse_collector"
READMES = {
    "langfuse": (PACKAGE / "receivers/langfuse/README.md", FACTORY, (LangfuseConfig, MediaConfig)),
    "api_keys": (PACKAGE / "extensions/api_keys/README.md", API_KEYS, (ApiKeysConfig, ProjectConfig, KeyConfig)),
}


def read(text: str) -> tuple[LangfuseConfig | None, list[str]]:
    found: list[Any] = []
    node = parse(text, "config.yaml", found)
    assert node is not None and not found
    config, problems = unmarshal(node, LangfuseConfig)
    return config, [problem.message for problem in problems]


def test_from_yaml() -> None:
    config, problems = read(
        "endpoint: :3000\nsampling: {load: 0.25}\nmedia: {directory: /m, max_size: 1MiB}\ncors_allowed_origins: []"
    )
    assert problems == []
    assert config == LangfuseConfig(
        Address(":3000"), sampling={"load": 0.25}, media=MediaConfig(Path("/m"), Size(1 << 20)), cors_allowed_origins=()
    )


@pytest.mark.parametrize("text", ["{}", "media: off", "media: 'off'"])
def test_media_is_off_by_default(text: str) -> None:
    assert read(text) == (LangfuseConfig(media="off"), [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sampling: {p: 1.5}", 'sampling must be between 0 and 1, also for project "p"'),
        ("max_in_flight: 1MiB", "max_in_flight must be at least max_request_body_size"),
        ("max_request_body_size: 0", "max_request_body_size must be positive"),
        ("media: {}", "must be set"),
        ("media: {directory: /m, url: here}", "url must begin with http:// or https://"),
        ("media: {directory: /m, max_total_size: 1}", "max_total_size must be at least max_size"),
        ("media: {directory: /m, max_size: 0}", "max_size must be positive"),
        ("media: {directory: /m, url_validity: 0}", "url_validity must be positive"),
    ],
)
def test_mistakes(text: str, problem: str) -> None:
    assert read(text)[1] == [problem]


@pytest.mark.parametrize(("readme", "factory", "configs"), READMES.values(), ids=READMES)
def test_everything_is_documented(readme: Path, factory: Any, configs: tuple[type[Any], ...]) -> None:
    text = readme.read_text()
    settings = [key for config in configs for key in keys(config)]
    assert [key for key in settings if f"`{key}`" not in text] == []
    assert [name for name in factory.metrics if name not in text] == []
    assert all(len(fields(config)) == len(keys(config)) for config in configs)


async def test_a_busy_port_is_named(start: Start) -> None:
    running = await start()
    busy = Address(f"127.0.0.1:{running.receiver.port}")
    receiver = LangfuseReceiver(settings("langfuse"), LangfuseConfig(busy), RecordingIntake())
    with pytest.raises(CollectorError, match=rf"receivers::langfuse: cannot listen on {busy}: "):
        await receiver.start()
    await receiver.shutdown()


@pytest.mark.parametrize("endpoint", [None, ANYWHERE])
async def test_shutdown_without_start_and_twice(endpoint: Address | None) -> None:
    never = LangfuseReceiver(settings("langfuse"), LangfuseConfig(endpoint), RecordingIntake())
    await never.shutdown()
    receiver = LangfuseReceiver(settings("langfuse"), LangfuseConfig(endpoint), RecordingIntake())
    await receiver.start()
    await receiver.shutdown()
    await receiver.shutdown()
