"""Cross-origin requests: which pages may send from a browser. Answers as the Go library rs/cors does, which the Collector uses."""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from openfuse_collector.receivers.otlp.config import CorsConfig
from openfuse_collector.receivers.requests.origins import Origins

ALWAYS = frozenset({"accept", "accept-language", "content-language", "content-type", "x-requested-with"})
"""Request headers that are allowed whatever the configuration says."""


class Cors:
    """The rules of one configuration."""

    def __init__(self, config: CorsConfig) -> None:
        self._origins = Origins(config.allowed_origins)
        self._headers = ALWAYS | {header.lower() for header in config.allowed_headers}
        self._exposed = ", ".join(config.exposed_headers)
        self._max_age = config.max_age

    def answer_headers(self, origin: str) -> dict[str, str]:
        """For the answer to a request."""
        headers = {"Vary": "Origin"}
        if origin in self._origins:
            headers |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
            if self._exposed:
                headers["Access-Control-Expose-Headers"] = self._exposed
        return headers

    def preflight_headers(self, origin: str, wanted: str) -> dict[str, str]:
        """For the answer to the question whether a request with the headers `wanted` may be sent."""
        headers = self.answer_headers(origin)
        names = [name.strip().lower() for name in wanted.split(",") if name.strip()]
        if "Access-Control-Allow-Origin" not in headers or not (
            "*" in self._headers or self._headers.issuperset(names)
        ):
            return {"Vary": headers["Vary"]}
        headers["Access-Control-Allow-Methods"] = "POST"
        if names:
            headers["Access-Control-Allow-Headers"] = ", ".join(names)
        if self._max_age:
            headers["Access-Control-Max-Age"] = str(self._max_age)
        return headers


def cors_middleware(config: CorsConfig, guests: Iterable[web.RouteDef] = ()) -> Middleware:
    """Answers preflights and adds the headers browsers ask for to every other answer. `guests` have rules of their own."""
    cors, foreign = Cors(config), frozenset(route.handler for route in guests)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get("Origin")
        if origin is None or request.match_info.handler in foreign:
            return await handler(request)
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            wanted = request.headers.get("Access-Control-Request-Headers", "")
            return web.Response(status=204, headers=cors.preflight_headers(origin, wanted))
        answer = await handler(request)
        answer.headers.update(cors.answer_headers(origin))
        return answer

    return middleware
