"""The Python client: what any NATS client could do, with types, deadlines and safe retries."""

import asyncio
import os
from collections.abc import Mapping
from typing import Any, Self, TypeVar

import anyio
import msgspec
import nats.errors
import orjson
from nats.aio.client import Client as NatsClient
from nats.aio.msg import Msg

from kernel.clock import Clock, SystemClock
from kernel.randomness import IdFactory, SystemRandomness
from schemas.accounts import (
    Account,
    AccountOpened,
    Deposit,
    DepositFunds,
    GetAccount,
    GetStatement,
    OpenAccount,
    Statement,
)
from schemas.errors import (
    DeadlineExceeded,
    ErrorBody,
    Internal,
    NotReady,
    Unavailable,
    error_from_body,
)
from schemas.payments import CreatePayment, GetPayment, Payment
from schemas.subjects import request_subject
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR, find_running

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
    """

    def __init__(
        self, *, app: str, url: str | None = None, timeout_s: float = DEFAULT_TIMEOUT_S
    ) -> None:
        self.app = app
        self.accounts = Accounts(self)
        self.payments = Payments(self)
        self._url = url or _default_url()
        self._timeout_s = timeout_s
        self._nats = NatsClient()
        self._clock: Clock = SystemClock()
        self._ids = IdFactory(self._clock, SystemRandomness())
        self._waiting: dict[str, asyncio.Future[Msg]] = {}
        self._next_token = 0

    async def __aenter__(self) -> Self:
        try:
            await self._nats.connect(
                self._url,
                name=f"zhihui-client:{self.app}",
                max_reconnect_attempts=-1,
                reconnect_time_wait=RECONNECT_WAIT_S,
                connect_timeout=CONNECT_TIMEOUT_S,
                error_cb=_ignore,
                disconnected_cb=self._on_disconnect,
            )
        except (OSError, TimeoutError, nats.errors.Error) as error:
            await self._nats.close()
            raise NotReady(f"cannot connect to NATS at {self._url}: {error}") from error
        self._inbox = self._nats.new_inbox()
        await self._nats.subscribe(f"{self._inbox}.*", cb=self._on_answer)
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
        give_up_s = self._clock.monotonic_s() + (timeout_s or self._timeout_s)
        backoff_s = RETRY_S
        while True:
            left_s = max(give_up_s - self._clock.monotonic_s(), 0.001)
            try:
                return await self._attempt(subject, payload, min(left_s, ATTEMPT_S_MAX))
            except Unavailable as error:
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

        The deadline travels with the request. Raise :class:`DeadlineExceeded` without an answer and
        :class:`NotReady` when nobody listens or the connection is down.
        """
        self._next_token += 1
        token = str(self._next_token)
        future: asyncio.Future[Msg] = asyncio.get_running_loop().create_future()
        self._waiting[token] = future
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

    async def _on_disconnect(self) -> None:
        # Answers sent meanwhile are lost, so nobody should go on waiting for one.
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(
                    DeadlineExceeded(
                        "the connection was lost; the outcome is not known", retry_after_s=RETRY_S
                    )
                )

    async def _on_answer(self, message: Msg) -> None:
        future = self._waiting.get(message.subject.rsplit(".", 1)[1])
        if future is not None and not future.done():
            future.set_result(message)


def _default_url() -> str:
    given = os.environ.get("ZHIHUI_NATS_URL")
    if given:
        return given
    running = find_running(DEFAULT_DATA_DIR)
    return running.nats_url if running else "nats://127.0.0.1:4222"


async def _ignore(error: Exception) -> None:
    """Errors of the connection show in the calls that they hit."""
    del error


class Accounts:
    """The account service, typed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def open(
        self, *, holder: str, type: str = "customer", request_id: str | None = None  # noqa: A002 - the field's name on the wire
    ) -> AccountOpened:  # fmt: skip
        """Open an account with a balance of zero."""
        request = msgspec.convert(
            {
                "request_id": request_id or self._client.new_request_id(),
                "holder": holder,
                "type": type,
            },
            OpenAccount,
        )
        return await self._client.typed_call("account", "open", request, AccountOpened)

    async def get(self, account_id: str) -> Account:
        """Read an account and its balance."""
        request = GetAccount(account_id=account_id)
        return await self._client.typed_call("account", "get", request, Account)

    async def deposit(
        self, account_id: str, amount_minor: int, *, source: str, request_id: str | None = None
    ) -> Deposit:
        """Credit an account from a named external source; ``amount_minor`` in fen."""
        request = DepositFunds(
            request_id=request_id or self._client.new_request_id(),
            account_id=account_id,
            amount_minor=amount_minor,
            source=source,
        )
        return await self._client.typed_call("account", "deposit", request, Deposit)

    async def statement(self, account_id: str, *, after: int = 0, limit: int = 100) -> Statement:
        """Read a page of entries, those numbered above ``after``."""
        request = GetStatement(account_id=account_id, after=after, limit=limit)
        return await self._client.typed_call("account", "statement", request, Statement)


class Payments:
    """The payment service, typed."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def create(
        self,
        *,
        payer: str,
        payee: str,
        amount_minor: int,
        reference: str = "",
        request_id: str | None = None,
    ) -> Payment:
        """Pay from one account to another at once; ``amount_minor`` in fen."""
        request = CreatePayment(
            request_id=request_id or self._client.new_request_id(),
            payer=payer,
            payee=payee,
            amount_minor=amount_minor,
            reference=reference,
        )
        return await self._client.typed_call("payment", "create", request, Payment)

    async def get(self, payment_id: str | None = None, *, request_id: str | None = None) -> Payment:
        """Read a payment by its id, or find it by the id of the request that made it."""
        request = GetPayment(payment_id=payment_id, request_id=request_id)
        return await self._client.typed_call("payment", "get", request, Payment)
