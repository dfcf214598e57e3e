"""A whole bank in one process on virtual time, as tests of payments use it."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

import anyio
import msgspec

from actors.channels.channel import (
    Channel,
    Closed,
    Failed,
    NotFound,
    Outcome,
    PayOrder,
    RefundOrder,
    Succeeded,
)
from actors.channels.desk import desk_of
from actors.channels.terms import ChannelTerms
from actors.payments.lifecycle import EVENT_NAMES, NEW, TRANSITIONS
from actors.payments.records import PaymentState
from kernel.memory_store import MemoryStore
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World

__all__ = ("BankLab", "FakeChannel", "Refused", "play")

T = TypeVar("T")

_STORY_S_MAX = 60 * 86_400


class Refused(Exception):
    """A request was rejected; ``code`` and ``field`` are those of the error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code = error["code"]
        self.field = error["field"]
        self.message = error["message"]


class FakeChannel:
    """A channel in memory that does what it is told: see :class:`actors.channels.channel.Channel`.

    ``pays`` is what it answers to a payment, ``refunds`` to a refund. Orders with the same
    reference are one, and what was paid is remembered.
    """

    def __init__(self, name: str = "wechat") -> None:
        self.terms = ChannelTerms(
            name=name,
            methods=frozenset({"quick", "qr_static", "qr_dynamic", "guaranteed", "seamless"}),
            amount_max_minor=10**9,
            fee_ppm=6_000,
            refund_within_s=365 * 86_400,
            refunds_max=50,
        )
        self.pays: Callable[[PayOrder], Outcome]
        self.refunds: Callable[[RefundOrder], Outcome]
        self.behave()
        self.paid: dict[str, int] = {}
        self.refunded: dict[str, int] = {}

    def reference(self, order_id: str, created_at: datetime) -> str:
        """Return the id itself."""
        return order_id

    async def pay(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Answer as told."""
        outcome = self.pays(order)
        if isinstance(outcome, Succeeded):
            self.paid[order.reference] = order.amount_minor
        return outcome

    async def query(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Tell what became of an order."""
        if order.reference in self.paid:
            return Succeeded(channel_reference="C", amount_minor=order.amount_minor)
        return self.pays(order)

    async def close(self, order: PayOrder, timeout_s: float) -> Outcome:
        """Close what is not paid."""
        if order.reference in self.paid:
            return Succeeded(channel_reference="C", amount_minor=order.amount_minor)
        return Closed()

    async def refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Answer as told."""
        outcome = self.refunds(order)
        if isinstance(outcome, Succeeded):
            self.refunded[order.reference] = order.amount_minor
        return outcome

    async def query_refund(self, order: RefundOrder, timeout_s: float) -> Outcome:
        """Tell what became of a refund."""
        if order.reference in self.refunded:
            return Succeeded(channel_reference="C", amount_minor=order.amount_minor)
        return NotFound()

    def behave(self) -> None:
        """Take all payments and refunds from now on."""

        def take(order: PayOrder | RefundOrder) -> Outcome:
            return Succeeded(
                channel_reference=f"C{order.reference}", amount_minor=order.amount_minor
            )

        self.pays = self.refunds = take

    def decline(self) -> None:
        """Refuse all payments from now on, for good and for a reason of the payer's."""
        self.pays = lambda _: Failed(code="NO_MONEY", reason="no money", final=True, payer=True)


class BankLab:
    """One node, an app named shop, another named gym, and the back office."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._nodes = 1
        self._channels: tuple[FakeChannel, ...] = ()
        self.shop = Caller(world, "shop")
        self.gym = Caller(world, "gym")
        self.ops = Caller(world, "ops")
        self._next = 0

    async def open(self) -> None:
        """Start the node and the callers."""
        await self.world.start("n1")
        for caller in (self.shop, self.gym, self.ops):
            await caller.open()

    async def pass_time(self, seconds: float) -> None:
        """Let time pass while no node runs, and let a new one find what is due.

        An idle day of a node is work for the processor; a day without nodes is none.
        """
        await self.world.stop(f"n{self._nodes}")
        # Longer than a lease, so that the new node finds nobody before it.
        await self.world.clock.sleep(max(seconds, 30.0))
        self._nodes += 1
        await self.world.start(f"n{self._nodes}")
        if self._channels:
            self.channel(*self._channels)
        await self.settle()

    async def settle(self) -> None:
        """Let what is due be done."""
        await self.world.clock.sleep(3.0)

    def id(self) -> str:
        """Return a new request id."""
        self._next += 1
        return f"r{self._next}"

    async def ask(self, operation: str, *, by: Any = None, **body: Any) -> Any:
        """Return the result; raise :class:`Refused`. A request id is made unless given."""
        reads = operation.split(".")[1] in ("get", "list", "statement", "plan", "plans")
        if not reads:
            body.setdefault("request_id", self.id())
        caller = by or self.shop
        while True:
            try:
                answer = await caller.ask(operation, timeout_s=10.0, **body)
            except TimeoutError:
                continue
            if answer["ok"]:
                return answer["result"]
            error = answer["error"]
            if not error["retryable"] or error["code"] == "channel_unavailable":
                raise Refused(error)
            await self.world.clock.sleep(0.1)

    async def account(
        self, funds: int = 0, *, type: str = "customer", by: Any = None  # noqa: A002
    ) -> str:  # fmt: skip
        """Return a new account with money in it."""
        opened = await self.ask("account.open", by=by, holder="Li", type=type)
        name: str = opened["account_id"]
        if funds:
            await self.ask(
                "account.deposit", by=by, account_id=name, source="external:cash",
                amount_minor=funds,
            )  # fmt: skip
        return name

    async def pay(self, payer: str, payee: str, amount: int, **more: Any) -> Any:
        """Pay from one account; return the payment."""
        return await self.ask(
            "payment.create", payer=payer, payee=payee, amount_minor=amount, **more
        )

    async def merchant(self, *, by: Any = None, **terms: Any) -> str:
        """Return the account of a new merchant, who pays a fee of one percent unless told else."""
        account = await self.account(type="merchant", by=by)
        bank = {"type": "bank", "reference": "card-1"}
        terms = {"cycle": "T+1", "settle_to": bank, "fee": {"ppm": 10_000}, **terms}
        await self.ask(
            "merchant.create", by=by, account_id=account, name="Mall", terms=terms
        )  # fmt: skip
        return account

    async def refusal(self, operation: str, **body: Any) -> str:
        """Return the code of the error with which a request is rejected."""
        try:
            answer = await self.ask(operation, **body)
        except Refused as error:
            return str(error.code)
        raise AssertionError(f"{operation} was answered with {answer}")

    async def get(self, payment_id: str) -> Any:
        """Return a payment as it stands."""
        return await self.ask("payment.get", payment_id=payment_id)

    def channel(self, channel: FakeChannel | None = None, *others: FakeChannel) -> FakeChannel:
        """Give the node this channel, and as a rule no others; return it."""
        self._channels = (channel or FakeChannel(), *others)
        known: list[Channel] = list(self._channels)  # type: ignore[arg-type]
        desk = desk_of(self.world.node(f"n{self._nodes}")._parts)
        desk.use({one.terms.name: one for one in known})
        return self._channels[0]

    def slow_down_a_commit(self, seconds: float) -> None:
        """Let the next commit take so long."""
        store = self.world.node(f"n{self._nodes}")._parts.store
        assert isinstance(store, MemoryStore)
        usual = store.disturb

        async def disturb(moment: str) -> None:
            if moment == "commit":
                store.disturb = usual
                await self.world.clock.sleep(seconds)
            if usual is not None:
                await usual(moment)

        store.disturb = disturb

    # What is in the books.

    def balances(self) -> dict[str, int]:
        """Return what stands in each account."""
        return {row["account_id"]: row["posted_minor"] for row in self.world.rows("balance")}

    def held(self, account_id: str) -> int:
        """Return what is held of an account."""
        row = self.world.database.rows("balance")[(account_id,)]
        return int(row["held_minor"])

    def events(self, subject: str) -> list[str]:
        """Return the types of the events about something, in order."""
        return [row["type"] for row in self.world.rows("event") if row["subject"] == subject]

    def check(self) -> None:
        """The books are whole, and each entry and each event has its reason."""
        rows = self.world.rows
        entries = rows("entry")
        sums: Counter[str] = Counter()
        for row in entries:
            sums[row["account_id"]] += row["amount_minor"]
        balances = self.balances()
        assert {name: sums[name] for name in balances} == balances
        assets = {row["account_id"]: row["asset"] for row in rows("account")}
        totals: Counter[str] = Counter()
        for name, amount in balances.items():
            totals[assets[name]] += amount
        assert not any(totals.values()), totals
        there = Counter((row["change_seq"], row["account_id"], row["amount_minor"])
                        for row in entries)  # fmt: skip
        assert there == self._explained()
        self._check_steps()
        self._check_orders()

    def _explained(self) -> Counter[tuple[int, str, int]]:
        rows = self.world.rows
        found: Counter[tuple[int, str, int]] = Counter()

        def move(seq: int, debit: str, credit: str, amount: int) -> None:
            found[seq, debit, -amount] += 1
            found[seq, credit, amount] += 1

        for row in rows("payment"):
            if row["status"] == "succeeded":
                move(row["change_seq"], row["payer"], row["payee"], row["amount_minor"])
        for row in rows("deposit"):
            move(row["change_seq"], row["source"], row["account_id"], row["amount_minor"])
        for row in rows("transfer"):
            move(row["change_seq"], row["debit"], row["credit"], row["amount_minor"])
        holds = {row["hold_id"]: row for row in rows("hold")}
        for row in rows("hold_step"):
            if row["kind"] == "captured":
                account = holds[row["hold_id"]]["account_id"]
                move(row["change_seq"], account, row["payee"], row["amount_minor"])
        return found

    def _check_steps(self) -> None:
        """Each step of a payment is told once, and nothing else of a payment is."""
        steps = Counter(
            (row["change_seq"], row["payment_id"], f"payment.{row['event']}")
            for row in self.world.rows("payment_step")
        )
        steps.update(
            (row["change_seq"], row["payment_id"], "payment.succeeded")
            for row in self.world.rows("payment")
            if row["status"] == "succeeded"
        )
        told = Counter(
            (row["change_seq"], row["subject"], row["type"])
            for row in self.world.rows("event")
            if row["type"].startswith("payment.")
        )
        assert told == steps
        self._check_lives()

    def _check_lives(self) -> None:
        """Each payment went from status to status as the table says."""
        ways = {(before, EVENT_NAMES[step], after) for (before, step), after in TRANSITIONS.items()}
        at = {
            row["payment_id"]: "succeeded" if row["status"] == "succeeded" else NEW
            for row in self.world.rows("payment")
        }
        for row in sorted(self.world.rows("payment_step"), key=lambda row: row["change_seq"]):
            name = row["payment_id"]
            assert (at[name], row["event"], row["status"]) in ways
            at[name] = row["status"]
        for row in self.world.rows("payment_order"):
            assert row["status"] == at[row["payment_id"]]

    def _check_orders(self) -> None:
        """What is in escrow and on hold is what the payments say."""
        escrow, frozen = 0, 0
        holds = {row["hold_id"]: row for row in self.world.rows("hold")}
        for row in self.world.rows("payment_order"):
            state = msgspec.json.decode(row["body"], type=PaymentState)
            left = sum(leg.left_minor for leg in state.legs)
            if state.place == "escrow":
                escrow += left
            if state.place == "payee":
                assert left == state.refundable_minor, state
            if state.place == "holds":
                frozen += sum(leg.held_minor for leg in state.legs)
            for one in state.disputes:
                if one.hold_id:
                    is_open = holds[one.hold_id]["status"] == "open"
                    assert is_open == (one.dispute.status == "open")
                    frozen += holds[one.hold_id]["amount_minor"] * is_open
            given = sum(one.refund.amount_minor for one in state.refunds if one.kind == "refund")
            assert state.refunded_minor == given <= state.captured_minor
        balances = self.balances()
        assert balances["escrow:guaranteed"] == escrow
        held = sum(row["held_minor"] for row in self.world.rows("balance"))
        assert held == frozen


def play(
    story: Callable[[BankLab], Awaitable[T]],
    *,
    seed: int = 1,
    settings: dict[str, str] | None = None,
) -> T:
    """Play a story in a bank of its own, and check its books at the end."""

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> T:
        async with anyio.create_task_group() as tasks:
            lab = BankLab(World(clock, randomness, tasks, settings))
            with anyio.fail_after(_STORY_S_MAX):
                await lab.open()
                result = await story(lab)
            lab.check()
            tasks.cancel_scope.cancel()
        return result

    return run_virtual(main, seed=seed)
