"""Cross-origin calls: browsers send scores with the public key alone, so Langfuse lets every page do it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping


class ApiCors:
    """The headers for pages of the allowed origins. Cookies are never involved, so credentials are not allowed."""

    def __init__(self, allowed_origins: Iterable[str]) -> None:
        self._origins = [_pattern(origin) for origin in allowed_origins]

    def headers(self, request_headers: Mapping[str, str]) -> dict[str, str]:
        """For any answer; none for callers that are no web page."""
        origin = request_headers.get("Origin")
        if origin is None:
            return {}
        allowed = any(pattern.fullmatch(origin.lower()) for pattern in self._origins)
        return {"Vary": "Origin", **({"Access-Control-Allow-Origin": origin} if allowed else {})}

    def preflight(self, request_headers: Mapping[str, str], methods: Iterable[str]) -> dict[str, str]:
        """For the question of a browser whether it may call."""
        headers = self.headers(request_headers)
        if "Access-Control-Allow-Origin" in headers:
            headers["Access-Control-Allow-Methods"] = ", ".join(sorted(methods))
            wanted = request_headers.get("Access-Control-Request-Headers")
            if wanted:
                headers["Access-Control-Allow-Headers"] = wanted
        return headers


def _pattern(origin: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part) for part in origin.lower().split("*")))
