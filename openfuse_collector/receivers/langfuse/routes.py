"""The paths of the Langfuse API as routes any aiohttp application can mount: every method, CORS and errors included."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from aiohttp import web

from openfuse_collector.auth import Scope
from openfuse_collector.receivers.langfuse import calls
from openfuse_collector.receivers.langfuse.answers import METHOD_NOT_ALLOWED, reply
from openfuse_collector.receivers.langfuse.api import LangfuseApi
from openfuse_collector.receivers.langfuse.cors import ApiCors
from openfuse_collector.receivers.langfuse.deprecated import ENDPOINTS
from openfuse_collector.receivers.langfuse.failures import not_served
from openfuse_collector.receivers.langfuse.media.handlers import MediaHandlers
from openfuse_collector.receivers.requests.body import expect_later

PREFIX = "/api/public"
CONTENT = "/media/{media_id}/content"

Call = Callable[[web.Request], Awaitable[web.StreamResponse]]
Methods = Mapping[str, Call]
"""HTTP method -> what it does."""

NOT_SERVED = {
    "/v2/prompts": "Prompts are",
    "/prompts": "Prompts are",
    "/v2/datasets": "Datasets are",
    "/datasets": "Datasets are",
    "/dataset-items": "Dataset items are",
    "/dataset-run-items": "Dataset run items are",
    "/score-configs": "Score configs are",
    "/sessions": "Reading sessions is",
    "/observations": "Reading observations is",
    "/models": "Models are",
    "/metrics": "Metrics are",
}
"""Paths SDKs call, below which nothing is here."""


def langfuse_routes(api: LangfuseApi) -> list[web.RouteDef]:
    """Routes for every path this receiver answers, also those where it has nothing but a clear answer."""
    cors = ApiCors(api.config.cors_allowed_origins)
    paths = {**_paths(api), **_media_paths(api), **_not_served_paths()}
    return [
        web.route("*", PREFIX + path, _Dispatch(api, methods, cors).handle, expect_handler=_expect_handler(path))
        for path, methods in paths.items()
    ]


def _expect_handler(path: str) -> Callable[[web.Request], Awaitable[None]] | None:
    """Uploads leave `Expect: 100-continue` to aiohttp; other calls look at the headers first."""
    return None if path == CONTENT else expect_later


def _paths(api: LangfuseApi) -> dict[str, Methods]:
    paths: dict[str, dict[str, Call]] = {
        "/ingestion": {"POST": partial(api.take, read=calls.ingestion)},
        "/scores": {"POST": partial(api.take, read=calls.scores)},
        "/projects": {"GET": api.projects},
        "/health": {"GET": api.health},
        "/ready": {"GET": api.ready},
    }
    for method, resource in ENDPOINTS:
        take = partial(api.take, read=calls.deprecated(method, resource), scope=Scope.PROJECT)
        paths.setdefault(f"/{resource}", {})[method] = take
    return dict(paths)


def _media_paths(api: LangfuseApi) -> dict[str, Methods]:
    media = MediaHandlers(api)
    return {
        "/media": {"POST": media.announce},
        "/media/{media_id}": {"GET": media.describe, "PATCH": media.report},
        CONTENT: {"PUT": media.upload, "GET": media.download},
    }


def _not_served_paths() -> dict[str, Methods]:
    paths: dict[str, Methods] = {}
    for path, what in NOT_SERVED.items():
        paths[path] = paths[f"{path}/{{rest:.*}}"] = {"*": _nothing(what)}
    return paths


def _nothing(what: str) -> Call:
    async def call(request: web.Request) -> web.StreamResponse:
        raise not_served(what)

    return call


class _Dispatch:
    """One path: the call of the method, and an answer whatever happens to it."""

    def __init__(self, api: LangfuseApi, methods: Methods, cors: ApiCors) -> None:
        self._api = api
        self._methods = methods
        self._cors = cors

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The answer; ConnectionError when the client has left."""
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=self._cors.preflight(request.headers, self._methods))
        answer = await self._answer(request)
        answer.headers.update(self._cors.headers(request.headers))
        return answer

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        method = "GET" if request.method == "HEAD" else request.method
        call = self._methods.get(method) or self._methods.get("*")
        if call is None:
            return reply(METHOD_NOT_ALLOWED, 405, {"Allow": ", ".join(sorted(self._methods))})
        try:
            return await call(request)
        except ConnectionError:
            raise  # there is nobody to answer
        except Exception as error:
            return self._api.failure(error)
