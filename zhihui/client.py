"""The Python client: what any NATS client could do, with types, deadlines and safe retries."""

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import anyio
import msgspec
import nats.errors
import orjson
from nats.aio.msg import Msg

from kernel.address import has_user, without_password
from kernel.clock import Clock, SystemClock
from kernel.nats_security import SecureClient, denied_subject, is_denied
from kernel.randomness import IdFactory, SystemRandomness
from schemas.errors import (
    DeadlineExceeded,
    ErrorBody,
    Forbidden,
    Internal,
    InvalidField,
    NotReady,
    Unavailable,
    ZhihuiError,
    error_from_body,
)
from schemas.identifiers import APP_PATTERN
from schemas.requests import intake_subject
from schemas.subjects import inbox_prefix, request_subject
from zhihui._kept import check_kept
from zhihui.access.settings import CREDENTIALS_VARIABLE, app_security, operator_security
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR, find_running
from zhihui.services import Accounts, Holds, Payments

__all__ = (
    "ATTEMPT_S_MAX",
    "CLOSE_TIMEOUT_S",
    "CONNECT_TIMEOUT_S",
    "DEFAULT_TIMEOUT_S",
    "RECONNECT_WAIT_S",
    "RETRY_S",
    "RETRY_S_MAX",
    "Accounts",
    "Client",
    "Holds",
    "Payments",
)

DEFAULT_TIMEOUT_S = 5.0
# nats-py declares ints for these and takes floats.
RECONNECT_WAIT_S: Any = 0.25
CONNECT_TIMEOUT_S = 5
CLOSE_TIMEOUT_S = 2.0
# A lost message is noticed after this, and sent again while there is time.
ATTEMPT_S_MAX = 2.0
# The first pause before a request is sent again; it doubles up to the second.
RETRY_S = 0.1
RETRY_S_MAX = 1.0

T = TypeVar("T")

_APP = re.compile(APP_PATTERN)


class _Answer(msgspec.Struct, frozen=True):
    ok: bool
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: ErrorBody | None = None


_answer_decoder = msgspec.json.Decoder(_Answer)


class Client:
    """A connection of one scenario backend. Use as an async context manager::

        async with Client(app="parking-east", url="nats://127.0.0.1:4222") as client:
            payment = await client.payments.create(payer=a, payee=b, amount_minor=1250)

    A call that gets no answer in time is sent again with the same request id, so it takes effect
    once however often it is sent. When its time is over, :class:`~schemas.errors.DeadlineExceeded`
    says that the outcome is unknown; the same request id still finds it.

    Without ``url`` it goes where ``ZHIHUI_NATS_URL`` says, else to what `zhihui up` runs on the
    data directory ``.zhihui`` here, else to NATS's own default port.

    ``credentials`` is the path of the file that `zhihui app add` wrote. Without it, a user in
    ``url`` is taken, then the file that ``ZHIHUI_CREDENTIALS`` names, then the operator's access to
    what runs here. NATS verifies them, and :class:`~schemas.errors.Forbidden` is raised for what
    they do not allow: at the start for another app, at a call for another app's subject.
    """

    def __init__(
        self,
        *,
        app: str,
        url: str | None = None,
        credentials: Path | str | None = None,
        timeout_s: float = DEFAULT_TIMEOUT_S,
    ) -> None:
        if not _APP.match(app):
            raise InvalidField(
                f"{app!r} cannot be an app: lower-case letters, digits, - and _, 32 at most",
                field="app",
            )
        self.app = app
        self.accounts = Accounts(self)
        self.holds = Holds(self)
        self.payments = Payments(self)
        self._url = url or _default_url()
        # A user that the caller wrote into the address is meant, one found on this machine is not.
        given = credentials or (
            "" if url and has_user(url) else os.environ.get(CREDENTIALS_VARIABLE, "")
        )
        self._security = app_security(str(given)) if given else operator_security(self._url)
        self._refused = ""
        self._timeout_s = timeout_s
        self._nats = SecureClient()
        self._clock: Clock = SystemClock()
        self._ids = IdFactory(self._clock, SystemRandomness())
        # By the last token of the reply subject: where the request went, and who waits.
        self._waiting: dict[str, tuple[str, asyncio.Future[Msg]]] = {}
        self._next_token = 0

    async def __aenter__(self) -> Self:
        try:
            await self._nats.connect_secure(
                self._url,
                self._security,
                name=f"zhihui-client:{self.app}",
                inbox_prefix=inbox_prefix(self.app),
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,
                connect_timeout=CONNECT_TIMEOUT_S,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnect,
                reconnected_cb=self._on_reconnect,
                closed_cb=self._on_closed,
            )
            self._inbox = self._nats.new_inbox()
            await self._nats.subscribe(f"{self._inbox}.*", cb=self._on_answer)
            # A subscription that is not allowed is refused before a round trip after it ends. Two
            # of them, because nats-py sends the ping of the first ahead of what is still queued.
            await self._nats.flush(CONNECT_TIMEOUT_S)
            await self._nats.flush(CONNECT_TIMEOUT_S)
            self._check_access()
        except ZhihuiError as error:
            await self._nats.close()
            address = without_password(self._url)
            raise type(error)(f"cannot connect to NATS at {address}: {error.message}") from error
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await self._nats.close()
            address = without_password(self._url)
            raise NotReady(f"cannot connect to NATS at {address}: {error}") from error
        return self

    async def __aexit__(self, *exc: object) -> None:
        # A caller that is cancelled must not leave the socket behind.
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_TIMEOUT_S):
            await self._nats.close()

    async def call(
        self,
        service: str,
        verb: str,
        body: Mapping[str, Any] | msgspec.Struct,
        *,
        timeout_s: float | None = None,
    ) -> Any:
        """Send a request and return its result as plain JSON values.

        ``body`` is sent as it is, so one that changes something must hold its ``request_id``. Raise
        the typed error that the service answered; retryable ones are tried again with the same body
        until ``timeout_s`` (default: the client's) is over.
        """
        payload = orjson.dumps(body, default=msgspec.to_builtins)
        return orjson.loads(await self._call(service, verb, payload, timeout_s))

    async def publish(
        self,
        service: str,
        verb: str,
        body: Mapping[str, Any] | msgspec.Struct,
        *,
        timeout_s: float | None = None,
    ) -> None:
        """Hand a request over, to be done even if no node runs now; return when it is kept.

        ``body`` must hold its ``request_id``; the answer is the event ``request.succeeded`` or
        ``request.rejected``. When :class:`~schemas.errors.Unavailable` is raised it may not be
        kept: send it again with the same request id.
        """
        payload = orjson.dumps(body, default=msgspec.to_builtins)
        # The same in all attempts, so that the stream keeps one of them.
        headers = {"Nats-Msg-Id": self._ids.new("msg")}

        async def attempt(subject: str, payload: bytes, left_s: float) -> bytes:
            answer = await self.request_raw(subject, payload, timeout_s=left_s, headers=headers)
            check_kept(answer)
            return answer

        await self._retried(attempt, intake_subject(self.app, service, verb), payload, timeout_s)

    async def typed_call(
        self, service: str, verb: str, request: msgspec.Struct, result: type[T]
    ) -> T:
        """Send a request and return its result as ``result``."""
        answer = await self._call(service, verb, msgspec.json.encode(request), None)
        return msgspec.json.decode(answer, type=result)

    def new_request_id(self) -> str:
        """Return a request id that nobody else uses."""
        return self._ids.new("req")

    async def _call(
        self, service: str, verb: str, payload: bytes, timeout_s: float | None
    ) -> bytes:
        subject = request_subject(self.app, service, verb)
        return await self._retried(self._attempt, subject, payload, timeout_s)

    async def _retried(
        self,
        attempt: Callable[[str, bytes, float], Awaitable[bytes]],
        subject: str,
        payload: bytes,
        timeout_s: float | None,
    ) -> bytes:
        give_up_s = self._clock.monotonic_s() + (timeout_s or self._timeout_s)
        backoff_s = RETRY_S
        unknown = False
        while True:
            left_s = max(give_up_s - self._clock.monotonic_s(), 0.001)
            try:
                return await attempt(subject, payload, min(left_s, ATTEMPT_S_MAX))
            except Forbidden as error:
                if unknown:
                    # Access was taken away meanwhile; that must not read as if nothing was done.
                    raise DeadlineExceeded(
                        f"{error.message}; the outcome of what was sent before is not known"
                    ) from error
                raise
            except Unavailable as error:
                unknown = unknown or isinstance(error, DeadlineExceeded)
                pause_s = max(error.retry_after_s or 0.0, backoff_s)
                if self._clock.monotonic_s() + pause_s >= give_up_s:
                    raise
            await self._clock.sleep(pause_s)
            backoff_s = min(backoff_s * 2, RETRY_S_MAX)

    async def _attempt(self, subject: str, payload: bytes, timeout_s: float) -> bytes:
        raw = await self.request_raw(subject, payload, timeout_s=timeout_s)
        try:
            answer = _answer_decoder.decode(raw)
        except msgspec.MsgspecError as error:
            raise Internal(f"the answer is not of the service's form: {error}") from error
        if answer.ok:
            return bytes(answer.result)
        if answer.error is None:
            raise Internal("the service answered neither a result nor an error")
        raise error_from_body(answer.error)

    async def request_raw(
        self,
        subject: str,
        payload: bytes,
        *,
        timeout_s: float,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Send bytes once and return the bytes of the reply.

        The deadline travels with the request. Raise :class:`DeadlineExceeded` without an answer,
        :class:`NotReady` when nobody listens or the connection is down, and :class:`Forbidden` when
        the credentials do not allow the subject.
        """
        self._check_access()
        self._next_token += 1
        token = str(self._next_token)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = (subject.lower(), future)
        deadline_ms = self._clock.now_ms() + int(timeout_s * 1000)
        all_headers = {"Zh-Deadline-Ms": str(deadline_ms), **(headers or {})}
        try:
            await self._nats.publish(
                subject, payload, reply=f"{self._inbox}.{token}", headers=all_headers
            )
            message = await asyncio.wait_for(future, timeout_s)
        except TimeoutError as error:
            raise DeadlineExceeded(
                "no answer in time; the outcome is not known", retry_after_s=RETRY_S
            ) from error
        except nats.errors.Error as error:
            raise NotReady(f"the request was not sent: {error}") from error
        finally:
            self._waiting.pop(token, None)
        if message.headers and message.headers.get("Status") == "503":
            raise NotReady("no service listens", retry_after_s=0.5)
        return message.data

    def _check_access(self) -> None:
        if self._refused:
            raise Forbidden(self._refused)

    async def _on_error(self, error: Exception) -> None:
        """Tell those who wait what the server refused; other errors show in the calls they hit."""
        denied = denied_subject(error)
        if denied is not None and denied[0] == "publish":
            reason = f"the credentials do not allow to publish to {denied[1]!r}"
            self._fail(Forbidden(reason), subject=denied[1])
        elif denied is not None:
            self._refuse(f"the credentials are not those of the app {self.app!r}")
        elif is_denied(error):
            self._refuse("NATS does not accept the credentials any more")

    async def _on_closed(self) -> None:
        error = self._nats.last_error
        if error is not None and is_denied(error):
            self._refuse("NATS does not accept the credentials any more")

    async def _on_reconnect(self) -> None:
        self._refused = ""

    async def _on_disconnect(self) -> None:
        # Answers sent meanwhile are lost, so nobody should go on waiting for one.
        self._fail(
            DeadlineExceeded(
                "the connection was lost; the outcome is not known", retry_after_s=RETRY_S
            )
        )

    def _refuse(self, reason: str) -> None:
        self._refused = reason
        self._fail(Forbidden(reason))

    def _fail(self, error: ZhihuiError, *, subject: str = "") -> None:
        """Raise ``error`` where a request waits, or only where it went to ``subject``."""
        for sent_to, future in self._waiting.values():
            if not future.done() and (not subject or subject == sent_to):
                future.set_exception(error)

    async def _on_answer(self, message: Msg) -> None:
        waiting = self._waiting.get(message.subject.rsplit(".", 1)[1])
        if waiting is not None and not waiting[1].done():
            waiting[1].set_result(message)


def _default_url() -> str:
    given = os.environ.get("ZHIHUI_NATS_URL")
    if given:
        return given
    running = find_running(DEFAULT_DATA_DIR)
    return running.nats_url if running else "nats://127.0.0.1:4222"
