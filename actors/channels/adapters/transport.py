"""What all adapters share: the HTTP client, the deadline, and what silence comes to.

An adapter says what it sends and how it reads an answer; here is the one place where it is sent.
Whatever goes wrong on the way is an :class:`~actors.channels.channel.Unknown`: the channel may have
taken the money before the wire broke.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl

import aiohttp
import msgspec

from actors.channels.adapters.signing import Signer, Verifier
from actors.channels.channel import CallbackAnswer, Outcome, Succeeded, Unknown
from actors.channels.terms import ChannelTerms
from kernel.clock import Clock
from kernel.randomness import Randomness

__all__ = (
    "ANSWER_BYTES_MAX",
    "CONNECTIONS_MAX",
    "ChannelAccess",
    "HttpAdapter",
    "HttpAnswer",
    "HttpRequest",
    "HttpSession",
    "NotAnAnswer",
    "form_fields",
    "json_object",
    "open_session",
    "text_of",
    "with_amount",
)

# Answers of the channels are a few hundred bytes; nobody reads megabytes on our account.
ANSWER_BYTES_MAX = 64 * 1024
# To one channel from one node. The timers that drive the attempts have 200 under way.
CONNECTIONS_MAX = 256


HttpSession = aiohttp.ClientSession


class ChannelAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a node reaches one channel, and who it is there.

    Keys are the names of PEM files: our private key, and the channel's public key. ``key_id`` is
    the serial number of our certificate, ``channel_key_id`` that of the channel's. ``secret_file``
    holds the key that callbacks are encrypted with, where the channel does that. ``terms`` replaces
    the adapter's own terms.
    """

    base_url: str
    merchant_id: str
    private_key_file: str
    channel_key_file: str
    notify_url: str
    key_id: str = "1"
    channel_key_id: str = "1"
    app_id: str = ""
    secret_file: str = ""
    timeout_s: float = 5.0
    terms: ChannelTerms | None = None


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent; ``target`` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


class HttpAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What came back; names of headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes


class NotAnAnswer(Exception):
    """What came back is not to be trusted or not to be read; the text says why."""


class HttpAdapter:
    """Base of the adapters; each adds the channel's own paths, fields and signatures."""

    TERMS: ClassVar[ChannelTerms]

    def __init__(
        self,
        access: ChannelAccess,
        session: HttpSession,
        clock: Clock,
        randomness: Randomness,
    ) -> None:
        self.access = access
        self._session = session
        self._clock = clock
        self._randomness = randomness
        self._signer = Signer(Path(access.private_key_file).read_bytes())
        self._verifier = Verifier(Path(access.channel_key_file).read_bytes())
        self._terms = access.terms or self.TERMS

    @property
    def terms(self) -> ChannelTerms:
        """What the channel costs and takes."""
        return self._terms

    def callback_answer(self, *, accepted: bool) -> CallbackAnswer:
        """Return the answer to a callback; a status of the 500s makes every channel come again."""
        return CallbackAnswer(
            status=200 if accepted else 500,
            content_type="text/plain",
            body=b"success" if accepted else b"fail",
        )

    def _nonce(self) -> str:
        return f"{self._randomness.bits(128):032X}"

    async def _exchange(
        self, request: HttpRequest, timeout_s: float, read: Callable[[HttpAnswer], Outcome]
    ) -> Outcome:
        """Send, and return what the answer comes to; everything unexpected is unknown."""
        try:
            answer = await self._send(request, timeout_s)
        except TimeoutError:
            return Unknown(reason=f"no answer within {timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            return Unknown(reason=f"no answer: {type(error).__name__}")
        if answer.status >= 500:
            return Unknown(reason=f"the channel answered with status {answer.status}")
        try:
            return read(answer)
        except NotAnAnswer as error:
            return Unknown(reason=str(error))

    async def _send(self, request: HttpRequest, timeout_s: float) -> HttpAnswer:
        async with self._session.request(
            request.method,
            self.access.base_url + request.target,
            data=request.body or None,
            headers=request.headers,
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            allow_redirects=False,
        ) as response:
            # One byte more than is allowed tells that there was more.
            body = await response.content.read(ANSWER_BYTES_MAX + 1)
            while len(body) <= ANSWER_BYTES_MAX:
                more = await response.content.read(ANSWER_BYTES_MAX + 1 - len(body))
                if not more:
                    break
                body += more
            if len(body) > ANSWER_BYTES_MAX:
                raise ValueError("the answer is too long")
            headers = {name.lower(): value for name, value in response.headers.items()}
            return HttpAnswer(status=response.status, headers=headers, body=body)


def open_session() -> HttpSession:
    """Return the connections to all channels; to be called, and closed, inside of the loop."""
    connector = aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS_MAX)
    # What a channel sets as a cookie is none of our business.
    return HttpSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
    )


def json_object(body: bytes) -> dict[str, Any]:
    """Return a JSON object; raise :class:`NotAnAnswer` when it is anything else."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NotAnAnswer("the answer is not JSON") from error
    if not isinstance(found, dict):
        raise NotAnAnswer("the answer is not a JSON object")
    return found


def form_fields(body: bytes) -> dict[str, str]:
    """Return the fields of a form; raise :class:`NotAnAnswer` when it is anything else."""
    try:
        pairs = parse_qsl(
            body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=100
        )
    except ValueError as error:
        raise NotAnAnswer("the answer is not a form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise NotAnAnswer("the answer names a field twice")
    return fields


def text_of(fields: Mapping[str, Any], name: str) -> str:
    """Return a field that is a text, or an empty text."""
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def with_amount(channel_reference: str, told: object, asked: int) -> Outcome:
    """Return the success, unless the amount is not the one that was asked for.

    Another amount is no success and no failure: a person has to look, and the reconciliation names
    it as different.
    """
    if not isinstance(told, int) or isinstance(told, bool) or told != asked:
        return Unknown(reason=f"the channel says {told} fen where {asked} were asked")
    return Succeeded(channel_reference=channel_reference, amount_minor=asked)
