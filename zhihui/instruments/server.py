"""A small HTTP server in threads of its own: ``/metrics`` and the questions about health.

It has neither passwords nor encryption, and tells nothing about customers. Let it listen where only
monitoring reaches it.
"""

import threading
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

from zhihui.errors import SetupError
from zhihui.instruments.exposition import Exposition
from zhihui.instruments.health import Verdict, livez, readyz, startupz
from zhihui.instruments.observer import Observer

__all__ = ("CLIENTS_MAX", "CLIENT_TIMEOUT_S", "PORTS_MAX", "Address", "InstrumentsServer")

# Two Prometheus servers, a supervisor's probes and a person; one more is turned away at once.
CLIENTS_MAX = 8
# A client that says nothing for this long is cut off.
CLIENT_TIMEOUT_S = 5.0
# As many nodes as `zhihui up` starts on one machine.
PORTS_MAX = 16

# How often the thread looks whether it shall end.
_LOOK_EVERY_S = 0.2

_encode = msgspec.json.Encoder().encode


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where to listen: the first free of these ports; port 0 is any that is free."""

    host: str
    first_port: int
    last_port: int

    @classmethod
    def parse(cls, text: str) -> "Address | None":
        """Return ``HOST:PORT`` or ``HOST:FIRST-LAST``, or None for ``off``.

        Raise :class:`ValueError` when it is none of these.
        """
        if text == "off":
            return None
        host, colon, ports = text.strip().rpartition(":")
        first, dash, last = ports.partition("-")
        if not (colon and host and first.isdecimal() and (last.isdecimal() or not dash)):
            raise ValueError(f"{text!r} is neither HOST:PORT nor HOST:FIRST-LAST nor `off`")
        address = cls(
            host=host.strip("[]"),
            first_port=int(first),
            last_port=int(last) if dash else int(first),
        )
        if not address.first_port <= address.last_port < 65_536:
            raise ValueError(f"{text!r} names no ports that exist")
        if address.last_port - address.first_port >= PORTS_MAX:
            raise ValueError(f"{text!r} names more than {PORTS_MAX} ports")
        return address


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # Only what is being served and the few that wait for it.
    request_queue_size = CLIENTS_MAX

    def __init__(self, address: tuple[str, int], handler: Callable[..., Any]) -> None:
        self._free = threading.BoundedSemaphore(CLIENTS_MAX)
        if ":" in address[0]:
            import socket

            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that went away; anything else it will see as an answer that did not come.
        return


class _Handler(BaseHTTPRequestHandler):
    """Answers one client."""

    timeout = CLIENT_TIMEOUT_S
    protocol_version = "HTTP/1.1"
    server_version = "zhihui"
    sys_version = ""

    def __init__(self, observer: Observer, exposition: Exposition, *args: Any) -> None:
        self._observer = observer
        self._exposition = exposition
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        judge = _QUESTIONS.get(path)
        if judge is not None:
            verdict = judge(self._observer)
            status = HTTPStatus.OK if verdict.ok else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", _encode(verdict) + b"\n")
        elif path == "/metrics":
            self._answer_metrics()
        else:
            known = ", ".join(("/metrics", *_QUESTIONS))
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", f"there are {known}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - the name that the base looks for

    def _answer_metrics(self) -> None:
        try:
            content_type, page = self._exposition.page(self.headers.get("Accept", ""))
        except Exception:  # noqa: BLE001 - the client is told, and the failure is counted
            self._observer.fail("the metrics were not rendered")
            page = b"the metrics were not rendered; the log says why\n"
            self._answer(HTTPStatus.INTERNAL_SERVER_ERROR, "text/plain", page)
        else:
            self._answer(HTTPStatus.OK, content_type, page)

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the base
        """Say nothing: a probe comes every second."""


_QUESTIONS: dict[str, Callable[[Observer], Verdict]] = {
    "/livez": livez,
    "/readyz": readyz,
    "/startupz": startupz,
}


class InstrumentsServer:
    """The server at work. Raise :class:`~zhihui.errors.SetupError` when it cannot listen."""

    def __init__(self, address: Address, observer: Observer) -> None:
        handler = partial(_Handler, observer, Exposition(observer))
        self._server = _listen(address, handler)
        host, self.port = self._server.server_address[:2]
        self.target = f"[{host!s}]:{self.port}" if ":" in str(host) else f"{host!s}:{self.port}"
        self._thread = threading.Thread(
            target=partial(self._server.serve_forever, _LOOK_EVERY_S),
            name="instruments",
            daemon=True,
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; answers under way are not waited for. It takes up to 0.2 s."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_LOOK_EVERY_S * 2)


def _listen(address: Address, handler: Callable[..., Any]) -> _Server:
    problem: OSError | None = None
    for port in range(address.first_port, address.last_port + 1):
        try:
            return _Server((address.host, port), handler)
        except OSError as error:
            problem = error
    ports = f"{address.first_port}"
    if address.last_port > address.first_port:
        ports += f" to {address.last_port}"
    raise SetupError(
        f"metrics cannot be served on {address.host} port {ports}: "
        f"{(problem and problem.strerror) or 'no port is free'}. Name another address in "
        "ZHIHUI_METRICS, port 0 for any that is free, or `off`."
    ) from problem
