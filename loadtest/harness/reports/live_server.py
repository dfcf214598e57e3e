"""A small web server for one person on this machine.

It listens on 127.0.0.1 and serves whoever has the token, which is in the link that the terminal
shows. The first visit turns it into a cookie, so it stays out of the history. A page of another
site can do nothing: its requests name another origin, a name that was made to point here is no
host of ours, and a command needs the token in a header, which no other page knows.
"""

import hmac
import secrets
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web

from loadtest.harness.reports.live_state import Command, LiveState, Said

__all__ = ("LiveServer",)

_HOST = "127.0.0.1"
# A command is some hundred bytes.
_BODY_BYTES_MAX = 4_096
_TOKEN_HEADER = "X-Load-Token"  # noqa: S105 - the name of a header
# Requests under way may take so long when the server ends.
_SHUTDOWN_S = 1.0

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class LiveServer:
    """Serves the page, the state and the report, and takes commands.

    ``state`` is called with the epoch and the number of points that the page has. ``port`` 0 takes
    a free one.
    """

    def __init__(
        self,
        *,
        page: Callable[[str, str], str],
        state: Callable[[int, int], LiveState],
        command: Callable[[Command], Said],
        report: Callable[[], str | None],
        port: int = 0,
    ) -> None:
        self._page = page
        self._state = state
        self._command = command
        self._report = report
        self._port = port
        self._token = secrets.token_urlsafe(24)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Return the link that opens the page, with the token."""
        return f"http://{_HOST}:{self._port}/?token={self._token}"

    async def start(self) -> None:
        """Listen; raises OSError when the port is taken."""
        app = web.Application(middlewares=[self._guard], client_max_size=_BODY_BYTES_MAX)
        app.router.add_get("/", self._get_page)
        app.router.add_get("/state", self._get_state)
        app.router.add_get("/report", self._get_report)
        app.router.add_post("/command", self._post_command)
        # Polls once a second are no news for a log.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _HOST, self._port)
        await site.start()
        self._port = int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port and all connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        hosts = {f"{_HOST}:{self._port}", f"localhost:{self._port}"}
        if request.headers.get("Host") not in hosts:
            return _refusal(421, "wrong_host", f"this page is at http://{_HOST}:{self._port}/")
        origin = request.headers.get("Origin")
        if origin is not None and origin.removeprefix("http://") not in hosts:
            return _refusal(403, "wrong_origin", "only this page's own scripts may ask")
        response = await handler(request)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["X-Frame-Options"] = "DENY"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    @property
    def _cookie(self) -> str:
        # Cookies know no ports, and another run may have a page too.
        return f"zhihui_load_{self._port}"

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _may_read(self, request: web.Request) -> bool:
        return self._is_token(request.cookies.get(self._cookie, ""))

    async def _get_page(self, request: web.Request) -> web.StreamResponse:
        if "token" in request.query:
            if not self._is_token(request.query["token"]):
                return _locked()
            response = web.Response(status=303, headers={"Location": "/"})
            # Not strict: the link may be clicked in a chat or a log viewer, and is redirected.
            response.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax", path="/")
            return response
        if not self._may_read(request):
            return _locked()
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
            "frame-ancestors 'none'"
        )
        return web.Response(
            text=self._page(self._token, nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def _get_state(self, request: web.Request) -> web.StreamResponse:
        if not self._may_read(request):
            return _locked()
        try:
            epoch, known = (int(request.query.get(name, "0")) for name in ("epoch", "known"))
        except ValueError:
            return _refusal(400, "bad_request", "epoch and known must be whole numbers")
        return _json(200, self._state(epoch, known))

    async def _get_report(self, request: web.Request) -> web.StreamResponse:
        if not self._may_read(request):
            return _locked()
        text = self._report()
        if text is None:
            return _refusal(409, "not_ended", "the report is made when the run has ended")
        return web.Response(text=text, content_type="text/html")

    async def _post_command(self, request: web.Request) -> web.StreamResponse:
        # The header cannot be sent by a form of another site, and a script of it does not know it.
        if not self._may_read(request) or not self._is_token(
            request.headers.get(_TOKEN_HEADER, "")
        ):
            return _locked()
        if request.content_type != "application/json":
            return _refusal(415, "bad_request", "a command is JSON")
        try:
            command = msgspec.json.decode(await request.read(), type=Command)
        except msgspec.DecodeError as error:
            return _refusal(400, "bad_request", str(error))
        said = self._command(command)
        return _json(200 if said.ok else 409, said)


def _json(status: int, content: msgspec.Struct) -> web.Response:
    return web.Response(
        status=status, body=msgspec.json.encode(content), content_type="application/json"
    )


def _refusal(status: int, code: str, text: str) -> web.Response:
    return web.json_response({"ok": False, "code": code, "text": text}, status=status)


def _locked() -> web.Response:
    return _refusal(403, "no_token", "open the link that the terminal shows; it has the token")
