"""The platform in memory with packs of the test's choice, and what must hold of its books."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from kernel.pack import Pack
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World
from zhihui.simulation.books import check_books as sums_and_holds

__all__ = ("FIRST_MINOR", "Lab", "check_books", "play")

_STORY_S_MAX = 1_000_000
FIRST_MINOR = 10_000


class Lab:
    """A world with one app, and the accounts and members of a library in it."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world = world
        self.caller = caller
        self.clock = world.clock
        self._numbers = 0

    async def call(self, operation: str, **body: Any) -> Any:
        """Ask under a new request id until there is an answer, and return its result."""
        return await self.caller.call(operation, **self._named(operation, body))

    async def refused(self, operation: str, **body: Any) -> str:
        """Ask and return the code of the error."""
        answer = await self.caller.ask(operation, timeout_s=5, **self._named(operation, body))
        assert not answer["ok"], answer
        return str(answer["error"]["code"])

    def _named(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        self._numbers += 1
        if operation.partition(".")[2].startswith("get"):
            return body
        return {"request_id": f"r{self._numbers}", **body}

    async def account(self, minor: int = 0) -> str:
        """Open an account with money in it."""
        opened = await self.call("account.open", holder="Li")
        if minor:
            await self.call(
                "account.deposit", account_id=opened["account_id"], source="external:cash",
                amount_minor=minor,
            )  # fmt: skip
        return str(opened["account_id"])

    async def member(self, member_id: str = "m1") -> dict[str, Any]:
        """Let somebody with money join the library; return the page."""
        page: dict[str, Any] = await self.call(
            "library.join", member_id=member_id, account_id=await self.account(FIRST_MINOR),
            till=await self.account(), authors=await self.account(),
        )  # fmt: skip
        return page

    async def money(self, account_id: str) -> tuple[int, int]:
        """Return what is posted and what is held of an account."""
        found = await self.call("account.get", account_id=account_id)
        return found["posted_minor"], found["held_minor"]

    def rows(self, table: str, **like: Any) -> list[dict[str, Any]]:
        """Return the rows of a table that have these values."""
        return [
            row
            for row in self.world.rows(table)
            if all(row[name] == value for name, value in like.items())
        ]


def play(
    story: Callable[[Lab], Awaitable[Any]],
    *packs: Pack,
    seed: int = 1,
    nodes: tuple[str, ...] = ("n1",),
) -> Any:
    """Play a story in a world whose nodes serve the packs, check the books, return its result."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, resident=packs)
            caller = Caller(world)
            await caller.open()
            for name in nodes:
                await world.start(name)
            # Of their time, so that a story that does not end fails soon in ours.
            with anyio.fail_after(_STORY_S_MAX):
                result = await story(Lab(world, caller))
            check_books(world)
            tasks.cancel_scope.cancel()
        return result

    return run_virtual(main, seed=seed)


def check_books(world: World) -> None:
    """Fail unless the books are whole: sums, holds, and a reason for every entry."""
    assert sums_and_holds(world) == []
    entries = Counter(
        (row["change_seq"], row["account_id"], row["amount_minor"]) for row in world.rows("entry")
    )
    holds = {row["hold_id"]: row for row in world.rows("hold")}
    assert entries == _explained(world, holds)


def _explained(world: World, holds: dict[str, dict[str, Any]]) -> Counter[tuple[int, str, int]]:
    """Return the entries that payments, deposits, captures and transfers stand for."""
    moved = [
        (row["change_seq"], row["payer"], row["payee"], row["amount_minor"])
        for row in world.rows("payment")
    ]
    moved += [
        (row["change_seq"], row["source"], row["account_id"], row["amount_minor"])
        for row in world.rows("deposit")
    ]
    moved += [
        (row["change_seq"], row["debit"], row["credit"], row["amount_minor"])
        for row in world.rows("transfer")
    ]
    moved += [
        (row["change_seq"], holds[row["hold_id"]]["account_id"], row["payee"], row["amount_minor"])
        for row in world.rows("hold_step")
        if row["kind"] == "captured"
    ]
    found: Counter[tuple[int, str, int]] = Counter()
    for change_seq, debit, credit, amount in moved:
        found[change_seq, debit, -amount] += 1
        found[change_seq, credit, amount] += 1
    return found
