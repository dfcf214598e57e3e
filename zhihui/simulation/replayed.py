"""The changes of a world in their order, and the model as it follows them."""

from collections.abc import Hashable
from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from zhihui.simulation.backend import Record
from zhihui.simulation.model import Bank, Refused
from zhihui.simulation.model.books import ESCROW
from zhihui.simulation.requests import MADE
from zhihui.simulation.world import World

__all__ = ("Replayed", "Row")

_COMMITTED = "committed"
_CONFIRM = "payment.confirm_due"
_ESCROW_ID = "escrow:guaranteed"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One change as the store has it; ``number`` is that of its step, if a backend asked for it."""

    seq: int
    app: str
    request_id: str
    operation: str
    outcome: str
    answer: Any
    at: datetime
    number: int | None


class Replayed:
    """The rows, and the model after those that were replayed so far."""

    def __init__(self, world: World) -> None:
        self.bank = Bank()
        self.rows = sorted((_row(one) for one in world.rows("change")), key=lambda row: row.seq)
        self.by_request = {row.request_id: row for row in self.rows if row.number is not None}
        # The id of what a step made → the step's number.
        self.made: dict[str, int] = {}
        self._start = world.clock.now().timestamp() - world.clock.monotonic_s()
        self._payment_steps = {row["change_seq"]: row for row in world.rows("payment_step")}
        self._hold_steps = {row["change_seq"]: row for row in world.rows("hold_step")}
        self._balances: dict[str, dict[int, int]] = {}
        for row in world.rows("entry"):
            self._balances.setdefault(row["account_id"], {})[row["change_seq"]] = row[
                "balance_after_minor"
            ]

    def seq_at(self, at_s: float) -> int:
        """Return the number of the last change that stood at a time."""
        moment = datetime.fromtimestamp(self._start + at_s, UTC)
        return max((row.seq for row in self.rows if row.at < moment), default=0)

    def note_made(self, row: Row, kind: str) -> None:
        """Remember what a step made, and under which id the product knows it."""
        name = MADE.get(kind)
        made = row.answer.get(name) if row.outcome == _COMMITTED and name else None
        if made is not None and row.number is not None:
            self.made[made] = row.number

    def balances(self, account_id: str, seq: int) -> list[int]:
        """Return what was posted in an account after a change, and after each that followed."""
        moved = self._balances.get(account_id, {})
        before = [one for one in moved if one <= seq]
        first = moved[max(before)] if before else 0
        return [first, *(balance for one, balance in moved.items() if one > seq)]

    def account_ids(self) -> dict[Hashable, str]:
        """Return the product's id of each account of the model."""
        found: dict[Hashable, str] = {ESCROW: _ESCROW_ID}
        ids = {number: name for name, number in self.made.items()}
        for name in self.bank.books.accounts:
            if isinstance(name, int):
                found[name] = ids[name]
            elif isinstance(name, tuple) and name[0] == "line":
                found[name] = ids[name[1]]
            elif isinstance(name, tuple):
                found[name] = f"{ids[name[1]]}.YEB"
        return found

    # The model at another moment.

    def bank_before(self, seq: int, records: dict[int, Record]) -> Bank:
        """Return the model as it was before a change, from the start on."""
        bank = Bank()
        for row in self.rows[: seq - 1]:
            if row.number is None:
                try:
                    self.by_itself(bank, row)
                except Refused:
                    continue
            elif row.outcome == _COMMITTED:
                record = records.get(row.number)
                if record is not None and record.asked is not None:
                    bank.play(record.step, record.asked.body)
        return bank

    def rebuild(self, seq: int, records: dict[int, Record]) -> None:
        """Take back what the model did for a change that was refused."""
        self.bank = self.bank_before(seq, records)

    def by_itself(self, bank: Bank, row: Row) -> None:
        """Let a model do what nobody asked for; raise :class:`Refused` when it cannot be."""
        if row.outcome != _COMMITTED:
            return
        step = self._payment_steps.get(row.seq)
        if step is not None:
            number = self.made[step["payment_id"]]
            match step["event"]:
                case "succeeded" if row.operation == _CONFIRM:
                    bank.payments.confirm(number)
                case "succeeded" | "guaranteed":
                    bank.payments.channel_paid(number)
                case "failed":
                    bank.payments.channel_failed(number)
                case "expired":
                    bank.payments.expire(number)
            return
        hold = self._hold_steps.get(row.seq)
        if hold is not None and hold["hold_id"] in self.made:
            bank.hold_expired(self.made[hold["hold_id"]])


def _row(stored: dict[str, Any]) -> Row:
    request_id = stored["request_id"]
    number = request_id[1:]
    return Row(
        seq=stored["seq"],
        app=stored["app"],
        request_id=request_id,
        operation=stored["operation"],
        outcome=stored["outcome"],
        answer=orjson.loads(stored["answer"]),
        at=stored["at"],
        number=int(number) if request_id[:1] == "s" and number.isdecimal() else None,
    )
