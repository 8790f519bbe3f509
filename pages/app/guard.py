"""What keeps other web pages away from an app on this machine: who may ask, and what a page may do.

A page of any site can send requests to 127.0.0.1. It cannot read the answers, unless its own name
was made to mean 127.0.0.1 (DNS rebinding), which the Host header tells; and what it sends says
where it comes from.
"""

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_OWN = ("same-origin", "none")
"""What a browser says of requests by the page itself, and by the user."""


class Guard:
    """Refuses requests that another site has sent, and adds the headers to every answer.

    Args:
      app: answers the others.
      host: the name that the app listens on; addresses and `localhost` are known anyway.
    """

    def __init__(self, app: ASGIApp, host: str):
        self._app = app
        self._host = host.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        app = JSONResponse({"error": refusal}, 403) if refusal else self._app
        await app(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if not self._is_known(_name_of(host)):
            return "this app is not known under that name; ask for it by its address"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return "sent by a page of another site"
        is_visit = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if not is_visit and headers.get("sec-fetch-site", "none") not in _OWN:
            return "sent by a page of another site"
        return None

    def _is_known(self, name: str) -> bool:
        if name in ("localhost", self._host):
            return True
        try:
            # Whoever has a name of theirs lead here is asked by that name, not by an address.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _name_of(host: str) -> str:
    """The host without its port; empty if it is none."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""
