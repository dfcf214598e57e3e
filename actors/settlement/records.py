"""What settlement keeps: where each merchant stands, its batches, and the totals of each."""

from datetime import datetime

import msgspec

from actors.entity import RecordTable
from kernel.journal import FactTable
from kernel.memory_tables import Table, table
from schemas.merchants import Cycle, SettleTo
from schemas.settlement import ClearingRole, Settlement, SettlementState

__all__ = (
    "CLEARING_TABLE",
    "OTHER_TABLES",
    "RANGE_TABLE",
    "SETTLEMENT_TABLE",
    "STANDING_TABLE",
    "Batch",
    "ClearingTotal",
    "Standing",
    "Sums",
    "public_settlement",
)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Where the settlement of a merchant stands.

    Legs up to change ``after_seq`` are settled. Everything before ``done_until_ms`` was, and before
    ``wanted_until_ms`` is to be; both are Unix milliseconds. ``open_id`` is the settlement under
    way. ``carried_minor`` is what the last one left.
    """

    after_seq: int = 0
    number: int = 0
    done_until_ms: int
    wanted_until_ms: int
    carried_minor: int = 0
    open_id: str = ""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over legs, in minor units; refunds count as positive in ``refunded_minor``."""

    legs: int = 0
    gross_minor: int = 0
    refunded_minor: int = 0
    fee_minor: int = 0
    shared_minor: int = 0
    received_minor: int = 0

    @property
    def net_minor(self) -> int:
        """What the legs leave to the merchant."""
        return (
            self.gross_minor
            - self.refunded_minor
            - self.fee_minor
            - self.shared_minor
            + self.received_minor
        )


class ClearingTotal(msgspec.Struct, frozen=True):
    """What an account got of the payments of an app, less what it gave back; minor units."""

    app: str
    account_id: str
    role: ClearingRole
    legs: int
    amount_minor: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A settlement as its record keeps it; it holds the legs of changes after_seq < seq ≤ to_seq.

    While it is open, ``to_seq`` is how far its legs were read, and ``clearing`` the totals so far;
    afterwards these are rows of their own.
    """

    merchant_id: str
    number: int
    day: str
    cycle: Cycle
    state: SettlementState
    cut_off_at: datetime
    opened_at: datetime
    after_seq: int
    to_seq: int
    carried_in_minor: int
    sums: Sums = Sums()
    carried_out_minor: int = 0
    payout_minor: int = 0
    clearing: tuple[ClearingTotal, ...] = ()
    settle_to: SettleTo | None = None
    reason: str = ""
    ended_at: datetime | None = None

    @property
    def due_minor(self) -> int:
        """What the merchant is owed: the net and what was carried in; negative when it owes."""
        return self.sums.net_minor + self.carried_in_minor


STANDING_TABLE = RecordTable(name="settlement_standing", key="merchant_id", state=Standing)

SETTLEMENT_TABLE = RecordTable(
    name="settlement",
    key="settlement_id",
    state=Batch,
    columns=(
        "merchant_id text", "number bigint", "day text", "state text", "after_seq bigint",
        "to_seq bigint", "net_minor bigint", "carried_in_minor bigint", "carried_out_minor bigint",
        "payout_minor bigint",
    ),
    values=lambda batch: (
        batch.merchant_id, batch.number, batch.day, batch.state, batch.after_seq, batch.to_seq,
        batch.sums.net_minor, batch.carried_in_minor, batch.carried_out_minor, batch.payout_minor,
    ),
)  # fmt: skip

# The key that settles each leg once: ranges of a merchant begin where others end.
RANGE_TABLE = FactTable(
    "settlement_range",
    ("merchant_id", "after_seq", "to_seq", "settlement_id"),
    ("text", "bigint", "bigint", "text"),
)

CLEARING_TABLE = FactTable(
    "clearing",
    ("day", "app", "account_id", "role", "settlement_id", "legs", "amount_minor"),
    ("text", "text", "text", "text", "text", "bigint", "bigint"),
)

OTHER_TABLES: tuple[Table, ...] = (
    table(
        "settlement_leg",
        ("merchant_id text", "change_seq bigint", "leg_id text", "kind text", "app text",
         "payment_id text", "method text", "at timestamptz", "gross_minor bigint",
         "fee_minor bigint", "shared_minor bigint", "net_minor bigint", "shares text"),
        ("merchant_id", "change_seq", "leg_id"),
        immutable=True,
    ),
    table(
        "settlement_range",
        ("merchant_id text", "after_seq bigint", "change_seq bigint", "to_seq bigint",
         "settlement_id text"),
        ("merchant_id", "after_seq"),
        immutable=True,
    ),
    table(
        "clearing",
        ("day text", "app text", "account_id text", "role text", "settlement_id text",
         "change_seq bigint", "legs bigint", "amount_minor bigint"),
        ("day", "app", "account_id", "role", "settlement_id"),
        immutable=True,
    ),
)  # fmt: skip


def public_settlement(settlement_id: str, batch: Batch) -> Settlement:
    """Return a settlement as `settlement.get` answers it."""
    return Settlement(
        settlement_id=settlement_id,
        merchant_id=batch.merchant_id,
        number=batch.number,
        day=batch.day,
        cycle=batch.cycle,
        state=batch.state,
        cut_off_at=batch.cut_off_at,
        legs=batch.sums.legs,
        gross_minor=batch.sums.gross_minor,
        refunded_minor=batch.sums.refunded_minor,
        fee_minor=batch.sums.fee_minor,
        shared_minor=batch.sums.shared_minor,
        received_minor=batch.sums.received_minor,
        net_minor=batch.sums.net_minor,
        carried_in_minor=batch.carried_in_minor,
        carried_out_minor=batch.carried_out_minor,
        payout_minor=batch.payout_minor,
        settle_to=batch.settle_to,
        reason=batch.reason,
        opened_at=batch.opened_at,
        ended_at=batch.ended_at,
    )
