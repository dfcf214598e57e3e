"""Filling the service before the load: accounts with money, and what the packs have to know."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from loadtest.some_at_once import each
from schemas.errors import NotFound
from zhihui.client import Client

__all__ = ("OPENING_MINOR", "Opener")

_T = TypeVar("_T")

# More than any of them spends.
OPENING_MINOR = 100_000_000
_SOURCE = "external:unionpay"
_AT_ONCE = 16
_KNOWN_S_MAX = 10.0
_AGAIN_S = 0.05


class Opener:
    """Opens what is needed, and remembers which account has been given how much."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.opening: dict[str, int] = {}

    async def account(self, type_: str = "customer") -> str:
        """Return a new account with nothing in it."""
        opened = await self._client.accounts.open(holder="hot loading", type=type_)
        self.opening[opened.account_id] = 0
        return opened.account_id

    async def funded(self) -> str:
        """Return a new account with money in it."""
        account = await self.account()
        await self._client.accounts.deposit(account, OPENING_MINOR, source=_SOURCE)
        self.opening[account] = OPENING_MINOR
        return account

    async def call(self, service: str, verb: str, **fields: Any) -> Any:
        """Return the result of a request."""
        body = {"request_id": self._client.new_request_id(), **fields}
        return await self._client.call(service, verb, body)

    async def until_known(self, service: str, verb: str, **fields: Any) -> Any:
        """Return the result of a request, as soon as the identity has heard that it exists."""
        with anyio.fail_after(_KNOWN_S_MAX):
            while True:
                try:
                    return await self.call(service, verb, **fields)
                except NotFound:
                    await anyio.sleep(_AGAIN_S)

    async def each(self, one: Callable[[int], Awaitable[_T]], count: int) -> list[_T]:
        """Return what ``one`` returns for each number, some at a time."""
        return await each(one, count, _AT_ONCE)
