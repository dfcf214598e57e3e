"""Filling what a node remembers of requests, so that it is as full before as after the load.

A node keeps the last hundred thousand answers in memory for those who ask again. It would fill up
during the load, and that would be taken for something that the versions leave behind.
"""

import asyncio

import msgspec

from loadtest.lean import LeanClient
from schemas.subjects import request_subject

__all__ = ("REMEMBERED", "fill_requests")

# What a node remembers at most; see its memory of requests.
REMEMBERED = 100_000
_APP = "hotload-fill"
_IN_FLIGHT = 256
_CONNECT_S = 5.0
_STALLED_S = 30.0
# Nobody has it. The refusal repeats it, and so is about as long as an answer of the load.
_ACCOUNT = f"acct-{'0' * 59}"


async def fill_requests(url: str, count: int) -> int:
    """Have ``count`` requests refused by the ledger; return how many were answered."""
    filler = _Filler(count)
    client = await LeanClient.connect(
        url, on_reply=filler.on_reply, on_lost=filler.on_lost, timeout_s=_CONNECT_S
    )
    try:
        await filler.run(client)
    finally:
        client.close()
    return filler.answered


class _Filler:
    """Keeps some requests in flight until all are answered."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._sent = 0
        self._client: LeanClient | None = None
        self._subject = b""
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.answered = 0

    async def run(self, client: LeanClient) -> None:
        """Send all of them."""
        self._client = client
        self._subject = client.prepare(request_subject(_APP, "account", "deposit"))
        for _ in range(min(_IN_FLIGHT, self._count)):
            self._send()
        seen = -1
        while not self._ended.done():
            await asyncio.wait({self._ended}, timeout=_STALLED_S)
            # What was told to come later is not sent again: it is a few of very many.
            if self.answered == seen:
                return
            seen = self.answered
        self._ended.result()

    def _send(self) -> None:
        assert self._client is not None
        body = {
            "request_id": f"fill-{self._sent:07d}", "account_id": _ACCOUNT, "amount_minor": 1,
            "source": "external:unionpay",
        }  # fmt: skip
        self._sent += 1
        self._client.send_nowait(self._subject, self._sent, msgspec.json.encode(body))

    def on_reply(self, token: int, body: bytes) -> None:
        """Count an answer, and send the next."""
        del token, body
        self.answered += 1
        if self._sent < self._count:
            self._send()
        elif self.answered >= self._sent and not self._ended.done():
            self._ended.set_result(None)

    def on_lost(self, error: Exception) -> None:
        """Give up."""
        if not self._ended.done():
            self._ended.set_exception(error)
