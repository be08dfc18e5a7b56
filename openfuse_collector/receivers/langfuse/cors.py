"""Cross-origin calls: browsers send scores with the public key alone, so Langfuse lets every page do it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from openfuse_collector.receivers.requests.origins import Origins


class ApiCors:
    """The headers for pages of the allowed origins. Cookies are never involved, so credentials are not allowed."""

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        self._origins = Origins(allowed_origins)

    def headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """For any answer; none for callers that are no web page."""
        origin = request_headers.get("Origin")
        if origin is None:
            return {}
        return {"Vary": "Origin", **({"Access-Control-Allow-Origin": origin} if origin in self._origins else {})}

    def preflight(self, request_headers: Mapping[str, str], methods: Iterable[str]) -> dict[str, str]:
        """For the question of a browser whether it may call."""
        headers = self.headers(request_headers)
        if "Access-Control-Allow-Origin" in headers:
            headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
            wanted = request_headers.get("Access-Control-Request-Headers")
            if wanted:
                headers["Access-Control-Allow-Headers"] = wanted
        return headers
