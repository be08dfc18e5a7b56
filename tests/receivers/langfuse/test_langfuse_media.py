"""Media: announced, uploaded to a signed address, described, downloaded; and everything that must not work."""

from __future__ import annotations

import asyncio
import base64
import stat
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from langfuse_harness import Answer, Running, Start, basic

from openfuse_collector.config.types import Secret, Size
from openfuse_collector.extensions.api_keys.config import ApiKeysConfig, KeyConfig, ProjectConfig
from openfuse_collector.extensions.api_keys.extension import ApiKeys
from openfuse_collector.receivers.langfuse.config import MediaConfig
from openfuse_collector.receivers.langfuse.media.directory import RECORD_ROOM
from openfuse_collector.receivers.langfuse.media.signing import Grant, is_signed, sign, signing_key
from tests.builders import settings

CONTENT = b"\x89PNG not really" * 50
MEDIA_ID = base64.urlsafe_b64encode(sha256(CONTENT).digest()).decode()[:22]
PATH = "/api/public/media"
UPLOADED = {
    "uploadedAt": "2026-11-21T04:40:12.442052Z",
    "uploadHttpStatus": 200,
    "uploadHttpError": "",
    "uploadTimeMs": 2,
}


def announcement(content: bytes = CONTENT, **change: Any) -> dict[str, Any]:
    digest = base64.b64encode(sha256(content).digest()).decode()
    body = {
        "contentType": "image/png",
        "contentLength": len(content),
        "sha256Hash": digest,
        "traceId": "t",
        "field": "input",
    }
    return body | change


@pytest.fixture
async def running(start: Start, tmp_path: Path) -> Running:
    """A receiver with a media directory."""
    return await start(media=MediaConfig(tmp_path / "media"))


async def upload(running: Running, address: str, content: bytes = CONTENT) -> Answer:
    parts = urlsplit(address)
    return await running.call("PUT", f"{parts.path}?{parts.query}", content, content_type="image/png")


async def test_the_whole_way(running: Running, tmp_path: Path) -> None:
    announced = await running.call("POST", PATH, announcement())
    assert announced.status == 201 and announced.body["mediaId"] == MEDIA_ID
    assert announced.body["uploadUrl"].startswith(f"{running.url}/api/public/media/{MEDIA_ID}/content?")
    early = await running.call("GET", f"{PATH}/{MEDIA_ID}")
    assert (early.status, early.body["message"]) == (404, "Media not yet uploaded")
    assert (await upload(running, announced.body["uploadUrl"])).status == 200
    assert (await running.call("PATCH", f"{PATH}/{MEDIA_ID}", UPLOADED)).status == 204
    described = await running.call("GET", f"{PATH}/{MEDIA_ID}")
    assert described.status == 200
    assert described.body.keys() == {"mediaId", "contentType", "contentLength", "uploadedAt", "url", "urlExpiry"}
    assert (described.body["contentLength"], described.body["uploadedAt"]) == (len(CONTENT), UPLOADED["uploadedAt"])
    parts = urlsplit(described.body["url"])
    downloaded = await running.call("GET", f"{parts.path}?{parts.query}")
    assert downloaded.body == CONTENT and downloaded.headers["Content-Type"] == "image/png"
    assert downloaded.headers["Content-Security-Policy"] == "sandbox"
    again = await running.call("POST", PATH, announcement())
    assert (again.status, again.body) == (200, {"mediaId": MEDIA_ID, "uploadUrl": None})
    [kept] = list((tmp_path / "media").rglob(MEDIA_ID))
    assert kept.read_bytes() == CONTENT
    assert not list((tmp_path / "media").rglob(".upload-*"))


async def test_off_says_so(start: Start) -> None:
    running = await start()
    for method, path in (("POST", PATH), ("GET", f"{PATH}/{MEDIA_ID}"), ("PUT", f"{PATH}/{MEDIA_ID}/content")):
        answer = await running.call(method, path, announcement() if method == "POST" else None)
        assert answer.status == 404 and answer.body["message"].startswith("Media uploads are off in this collector")


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"contentType": "image/exe"}, "contentType"),
        ({"contentLength": 0}, "contentLength"),
        ({"contentLength": 1.5}, "contentLength"),
        ({"sha256Hash": "short"}, "sha256Hash"),
        ({"sha256Hash": "!" * 44}, "sha256Hash"),
        ({"field": "other"}, "field"),
        ({"traceId": None}, None),
    ],
)
async def test_announcements_that_are_no_good(running: Running, change: dict[str, Any], where: str | None) -> None:
    answer = await running.call("POST", PATH, announcement(**change))
    assert answer.status == 400
    assert [issue["path"] for issue in answer.body["error"]] == [[where] if where else []]


async def test_a_file_of_a_dataset_item(running: Running) -> None:
    body = announcement(traceId=None, datasetId="d", datasetItemId="i", field="expectedOutput")
    assert (await running.call("POST", PATH, body)).status == 201


async def test_sizes(start: Start, tmp_path: Path) -> None:
    running = await start(media=MediaConfig(tmp_path, max_size=Size(1000), max_total_size=Size(1500 + 3 * RECORD_ROOM)))
    assert (await running.call("POST", PATH, announcement(b"x" * 1001))).status == 413
    first, second = b"a" * 900, b"b" * 900
    announced = await running.call("POST", PATH, announcement(first))
    for _ in range(2):  # the second takes no more room
        assert (await upload(running, announced.body["uploadUrl"], first)).status == 200
    assert (await running.call("POST", PATH, announcement(b"c" * 400))).status == 201
    full = await running.call("POST", PATH, announcement(second))
    assert full.status == 413 and "full" in full.body["message"]
    assert (await running.call("POST", PATH, announcement(first))).status == 200


@pytest.mark.parametrize(
    ("content", "status"), [(CONTENT + b"x", 413), (CONTENT[:-1], 400), (CONTENT[::-1], 400), (b"", 400)]
)
async def test_an_upload_that_is_another_file(running: Running, tmp_path: Path, content: bytes, status: int) -> None:
    announced = await running.call("POST", PATH, announcement())
    assert (await upload(running, announced.body["uploadUrl"], content)).status == status
    assert not list(tmp_path.rglob(MEDIA_ID)) and not list(tmp_path.rglob(".upload-*"))
    assert (await upload(running, announced.body["uploadUrl"])).status == 200


async def test_a_failed_upload_is_told_later(running: Running) -> None:
    await running.call("POST", PATH, announcement())
    await running.call("PATCH", f"{PATH}/{MEDIA_ID}", UPLOADED | {"uploadHttpStatus": 503})
    answer = await running.call("GET", f"{PATH}/{MEDIA_ID}")
    assert (answer.status, answer.body["message"]) == (404, "Media upload failed with status 503")


async def test_what_nobody_announced(running: Running) -> None:
    other = "A" * 22
    for method, body in (("GET", None), ("PATCH", UPLOADED)):
        answer = await running.call(method, f"{PATH}/{other}", body)
        assert (answer.status, answer.body["message"]) == (404, "Media asset not found")
    for path in ("..%2F..%2Fetc", "x" * 23, ".signing-key"):
        assert (await running.call("GET", f"{PATH}/{path}")).status == 404
    assert (await running.call("PATCH", f"{PATH}/{MEDIA_ID}", {"uploadHttpStatus": "200"})).status == 400


async def test_addresses_are_good_for_one_thing(running: Running, tmp_path: Path) -> None:
    announced = await running.call("POST", PATH, announcement())
    parts = urlsplit(announced.body["uploadUrl"])
    good = f"{parts.path}?{parts.query}"
    bad = [
        good.replace(MEDIA_ID, "A" * 22),
        good.replace("project=default", "project=other"),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        parts.path,
        good.replace("expires=", "expires=9"),
        good.replace("expires=", "expires=" + "9" * 5000),
    ]
    for address in bad:
        assert (await running.call("PUT", address, CONTENT)).status == 403
    assert (await running.call("GET", good)).status == 403
    key, grant = signing_key(tmp_path / "media"), Grant("PUT", "default", MEDIA_ID, 1000)
    signature = sign(key, grant).rpartition("=")[2]
    assert is_signed(key, grant, signature, 999.9) and not is_signed(key, grant, signature, 1000)
    assert stat.S_IMODE((tmp_path / "media" / ".signing-key").stat().st_mode) == 0o600


def test_a_key_that_is_not_whole_is_none(tmp_path: Path) -> None:
    """What a power cut leaves of a file that was not synced. Anybody could sign with an empty key."""
    whole = signing_key(tmp_path)
    assert signing_key(tmp_path) == whole
    for left in (b"", whole[:5]):
        (tmp_path / ".signing-key").write_bytes(left)
        made = signing_key(tmp_path)
        assert len(made) == 32 and made != whole
        assert signing_key(tmp_path) == made


async def test_projects_do_not_see_each_other(start: Start, tmp_path: Path) -> None:
    projects = tuple(ProjectConfig(id, keys=(KeyConfig(f"pk-{id}", Secret("sk")),)) for id in ("a", "../a"))
    authenticator = ApiKeys(settings("api_keys"), ApiKeysConfig(projects, failure_delay=0))
    running = await start(authenticator=authenticator, media=MediaConfig(tmp_path, url="https://here.example.com/"))
    announced = await running.call("POST", PATH, announcement(), authorization=basic("pk-a", "sk"))
    assert announced.body["uploadUrl"].startswith("https://here.example.com/api/public/media/")
    assert (await upload(running, announced.body["uploadUrl"])).status == 200
    assert (await running.call("GET", f"{PATH}/{MEDIA_ID}", authorization=basic("pk-../a", "sk"))).status == 404
    assert (await running.call("GET", f"{PATH}/{MEDIA_ID}")).status == 401
    assert (await running.call("POST", PATH, announcement(), authorization="Bearer pk-a")).status == 403
    assert {path.parent.parent for path in tmp_path.rglob(MEDIA_ID)} == {tmp_path}


async def test_addresses_and_sizes_survive_a_restart(start: Start, tmp_path: Path) -> None:
    media = MediaConfig(tmp_path, max_size=Size(1000), max_total_size=Size(1500 + 2 * RECORD_ROOM))
    first = await start(media=media)
    announced = await first.call("POST", PATH, announcement())
    second = await start(media=media)
    assert (await upload(second, announced.body["uploadUrl"])).status == 200
    third = await start(media=media)
    assert (await third.call("POST", PATH, announcement())).body["uploadUrl"] is None
    assert (await third.call("POST", PATH, announcement(b"x" * 900))).status == 413


async def test_grants_end(start: Start, tmp_path: Path) -> None:
    running = await start(media=MediaConfig(tmp_path))
    before = int(time.time())
    announced = await running.call("POST", PATH, announcement())
    expires = int(announced.body["uploadUrl"].partition("expires=")[2].partition("&")[0])
    assert before + 3600 <= expires <= time.time() + 3600


async def test_a_directory_that_comes_late(start: Start, tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    running = await start(media=MediaConfig(tmp_path / "media"))
    assert (await running.call("POST", PATH, announcement())).status == 500
    (tmp_path / "media").unlink()
    assert (await running.call("POST", PATH, announcement())).status == 201


async def test_an_upload_that_breaks_off_leaves_nothing(running: Running, tmp_path: Path) -> None:
    announced = await running.call("POST", PATH, announcement())
    parts = urlsplit(announced.body["uploadUrl"])
    reader, writer = await asyncio.open_connection("127.0.0.1", running.receiver.port)
    head = f"PUT {parts.path}?{parts.query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(CONTENT)}\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(CONTENT[:100])
    await writer.drain()
    async with asyncio.timeout(60):
        while not list(tmp_path.rglob(".upload-*")):
            await asyncio.sleep(0)
        writer.close()
        while list(tmp_path.rglob(".upload-*")):
            await asyncio.sleep(0)
    assert not list(tmp_path.rglob(MEDIA_ID))
