"""What a scenario's ``setup`` and ``teardown`` have to work with."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

from loadtest.harness.plan import RunPlan
from loadtest.some_at_once import each
from zhihui.client import Client

__all__ = ("Stage",)

_T = TypeVar("_T")

_AT_ONCE = 32


class Stage:
    """One run from the side: a client whose calls are not measured, and what the run was told.

    ``postgres_dsn`` is empty where the database is not known. ``data`` is what ``setup`` returned.
    """

    def __init__(
        self,
        plan: RunPlan,
        client: Client,
        *,
        run_id: str,
        nats_url: str,
        postgres_dsn: str = "",
        say: Callable[[str], None],
    ) -> None:
        self.plan = plan
        self.client = client
        self.run_id = run_id
        self.nats_url = nats_url
        self.postgres_dsn = postgres_dsn
        self.say = say
        self.data: object = None

    @property
    def settings(self) -> Mapping[str, str]:
        """Return what ``--set name=value`` said."""
        return self.plan.settings

    async def each(self, one: Callable[[int], Awaitable[_T]], count: int) -> list[_T]:
        """Return what ``one`` returns for each number below ``count``, some at a time."""
        return await each(one, count, _AT_ONCE)

    async def funded_accounts(self, count: int, amount_minor: int) -> list[str]:
        """Open accounts with ``amount_minor`` fen in each, and return their ids."""

        async def one(number: int) -> str:
            opened = await self.client.accounts.open(holder=f"load {number}")
            await self.client.accounts.deposit(
                opened.account_id, amount_minor, source="external:unionpay"
            )
            return opened.account_id

        return await self.each(one, count)

    async def merchants(self, count: int) -> list[str]:
        """Open accounts of merchants, and return their ids."""

        async def one(number: int) -> str:
            opened = await self.client.accounts.open(holder=f"shop {number}", type="merchant")
            return opened.account_id

        return await self.each(one, count)
