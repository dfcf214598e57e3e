"""A stream of payments under adversity, and what its callers were told."""

import time
from collections import Counter
from collections.abc import Callable, Sequence

import anyio

from schemas.errors import Unavailable, ZhihuiError
from zhihui.client import Client

__all__ = ("FUNDS_MINOR", "GRACE_S", "PaymentStream", "open_accounts", "open_spread_accounts")

FUNDS_MINOR = 10**9
# What a busy machine may add to a call's own limit.
GRACE_S = 1.0
# How many accounts are opened at once.
_OPENING = 32


class PaymentStream:
    """Workers that pay one unit after the other, each under an id of its own.

    ``pairs`` are payers with their payees, taken in turns. Some workers ask and wait for the
    answer, others publish to the durable intake and are told only that it is kept. A call that
    takes longer than its limit is noted in ``hung``, an answer that is neither a payment nor "try
    again" in ``wrong``.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]], *, prefix: str = "stream") -> None:
        self._pairs = pairs
        self.prefix = prefix
        self._number = 0
        self._in_flight = 0
        self.stopped = False
        self.acknowledged: dict[str, str] = {}
        self.kept: set[str] = set()
        # What nobody was told the end of: the payer and the payee by the request id.
        self.unknown: dict[str, tuple[str, str]] = {}
        # How many calls ended without an answer, by their limit in seconds.
        self.gave_up: Counter[float] = Counter()
        self.latencies_s: list[float] = []
        self.hung: list[str] = []
        self.wrong: list[str] = []
        # Of what was acknowledged: the payer and the payee.
        self.pairs_by_request: dict[str, tuple[str, str]] = {}

    @property
    def in_flight(self) -> int:
        """How many calls wait for their answer at this moment."""
        return self._in_flight

    @property
    def told(self) -> int:
        """How many payments were acknowledged or kept."""
        return len(self.acknowledged) + len(self.kept)

    async def work(self, client: Client, timeout_s: float) -> None:
        """Pay until the stream is stopped; ``timeout_s`` is the client's own limit."""
        while not self.stopped:
            await self.pay(client, self._next_pair(), timeout_s)

    async def publish(self, client: Client, timeout_s: float, pause_s: float) -> None:
        """Publish to the intake until stopped, with a pause after each."""
        while not self.stopped:
            await self.hand_over(client, self._next_pair(), timeout_s)
            await anyio.sleep(pause_s)

    async def pay(self, client: Client, pair: tuple[str, str], timeout_s: float) -> bool:
        """Pay once from the one to the other, under a new request id; tell whether it was done."""
        request_id = self._new_id("pay")
        began_s = time.monotonic()
        self._in_flight += 1
        try:
            payment = await client.payments.create(
                payer=pair[0], payee=pair[1], amount_minor=1, request_id=request_id
            )
        except Unavailable:
            self.unknown[request_id] = pair
            self.gave_up[timeout_s] += 1
        except ZhihuiError as error:
            self._note_wrong(request_id, pair, error)
        else:
            self.acknowledged[request_id] = payment.payment_id
            self.pairs_by_request[request_id] = pair
        finally:
            self._in_flight -= 1
            self._note_time(request_id, began_s, timeout_s)
        return request_id in self.acknowledged

    async def hand_over(self, client: Client, pair: tuple[str, str], timeout_s: float) -> str:
        """Publish one payment to the durable intake, and return its request id."""
        request_id = self._new_id("intake")
        body = {"request_id": request_id, "payer": pair[0], "payee": pair[1], "amount_minor": 1}
        began_s = time.monotonic()
        self._in_flight += 1
        try:
            await client.publish("payment", "create", body, timeout_s=timeout_s)
        except Unavailable:
            self.unknown[request_id] = pair
            self.gave_up[timeout_s] += 1
        except ZhihuiError as error:
            self._note_wrong(request_id, pair, error)
        except BaseException:
            # Cancelled on the way: it may be kept.
            self.unknown[request_id] = pair
            raise
        else:
            self.kept.add(request_id)
        finally:
            self._in_flight -= 1
            self._note_time(request_id, began_s, timeout_s)
        return request_id

    async def pay_everywhere(self, client: Client, timeout_s: float) -> bool:
        """Pay once from each payer at the same time; tell whether all of it was done."""
        done: list[bool] = []

        async def pay(pair: tuple[str, str]) -> None:
            done.append(await self.pay(client, pair, timeout_s))

        async with anyio.create_task_group() as tasks:
            for pair in self._pairs:
                tasks.start_soon(pay, pair)
        return all(done)

    def _next_pair(self) -> tuple[str, str]:
        return self._pairs[self._number % len(self._pairs)]

    def _new_id(self, kind: str) -> str:
        self._number += 1
        return f"{self.prefix}-{kind}-{self._number}"

    def _note_wrong(self, request_id: str, pair: tuple[str, str], error: ZhihuiError) -> None:
        self.unknown[request_id] = pair
        self.wrong.append(f"{request_id}: {error.code}: {error.message}")

    def _note_time(self, request_id: str, began_s: float, timeout_s: float) -> None:
        took_s = time.monotonic() - began_s
        self.latencies_s.append(took_s)
        if took_s > timeout_s + GRACE_S:
            self.hung.append(f"{request_id} took {took_s:.2f} s, its limit was {timeout_s:g} s")


async def open_accounts(client: Client, pairs: int) -> list[tuple[str, str]]:
    """Open payers with funds, and their payees."""
    opened = []
    for _ in range(pairs):
        payer = (await client.accounts.open(holder="Li")).account_id
        payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
        await client.accounts.deposit(payer, FUNDS_MINOR, source="external:cash")
        opened.append((payer, payee))
    return opened


async def open_spread_accounts(
    client: Client, place: Callable[[str], int], places: int
) -> list[tuple[str, str]]:
    """Open payers with funds, one in each of ``places``, and one payee for all.

    ``place`` tells where an account's payments are made: the number of its partition.
    """
    payee = (await client.accounts.open(holder="Shop", type="merchant")).account_id
    payers: dict[int, str] = {}

    async def open_one() -> None:
        account = (await client.accounts.open(holder="Li")).account_id
        payers.setdefault(place(account), account)

    async def fund(payer: str) -> None:
        await client.accounts.deposit(payer, FUNDS_MINOR, source="external:cash")

    # Five times as many as places are needed as a rule: the ids are as they come.
    while len(payers) < places:
        async with anyio.create_task_group() as tasks:
            for _ in range(_OPENING):
                tasks.start_soon(open_one)
    async with anyio.create_task_group() as tasks:
        for payer in payers.values():
            tasks.start_soon(fund, payer)
    return [(payer, payee) for payer in payers.values()]
