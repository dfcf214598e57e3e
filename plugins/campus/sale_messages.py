"""Messages of tills: terminals, online sales, uploads of what was sold offline."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, RequestId

from .fields import (
    PURCHASE_MINOR_MAX,
    ROWS_MAX,
    Category,
    Instant,
    Reason,
    SchoolId,
    Sequence,
    StudentId,
    TerminalId,
)
from .sequence import Span

__all__ = (
    "BuyOnline",
    "CapExceeded",
    "ChargeSale",
    "DebtRecorded",
    "GetTerminal",
    "NoteSale",
    "PublicKey",
    "RecordCode",
    "RecordRefused",
    "RegisterTerminal",
    "Sale",
    "SaleCharged",
    "SaleNoted",
    "SaleRecord",
    "SequenceWrittenOff",
    "Signature",
    "TerminalRegistered",
    "TerminalView",
    "UploadSales",
    "Uploaded",
    "WriteOffSequence",
)

PublicKey = Annotated[
    str, Meta(pattern="^[0-9a-f]{64}(?!\\n)$", description="Ed25519 key of the terminal, in hex.")
]
Signature = Annotated[
    str,
    Meta(
        pattern="^[0-9a-f]{128}(?!\\n)$",
        description="Ed25519 signature in hex over "
        "`campus.sale.v1|terminal_id|sequence|student_id|amount_minor|seconds`, where the seconds "
        "are those of `purchased_at` since 1970, whole.",
    ),
]
_PurchaseMinor = Annotated[int, Meta(ge=1, le=PURCHASE_MINOR_MAX, description="Minor units (fen).")]

# Why a record of an upload is not taken. Only `conflict` and `written_off` are final: the others
# may be sent again once the cause is gone.
RecordCode = Literal[
    "bad_signature",
    "unknown_student",
    "other_school",
    "time_out_of_range",
    "conflict",
    "written_off",
    "too_many_gaps",
]


class RegisterTerminal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Register a terminal, or give it another key.

    What it sold under the key before may still come. Its payee and its category stay: another
    operator gets another terminal.
    """

    request_id: RequestId
    terminal_id: TerminalId
    school_id: SchoolId
    payee: AccountId
    category: Category
    public_key: PublicKey


class TerminalRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """The terminal as it stands."""

    terminal_id: str
    school_id: str
    payee: str
    category: Category
    status: Literal["registered", "rekeyed", "unchanged"]


class BuyOnline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay at a till that is online: now, or not at all.

    It is a record as in an upload. When the terminal gets no answer it keeps the record and uploads
    it later: the sale is charged once. The number of a sale that was refused is used again.
    """

    request_id: RequestId
    student_id: StudentId
    terminal_id: TerminalId
    sequence: Sequence
    amount_minor: _PurchaseMinor
    purchased_at: Instant
    signature: Signature


class SaleCharged(msgspec.Struct, frozen=True, kw_only=True):
    """A sale that was charged, minor units.

    ``subsidy_minor`` came from subsidies, ``own_minor`` from the wallet, and ``owed_minor`` went on
    the overdraft list: they add up to the amount. ``collected_minor`` is what was paid of older
    debts with it, and ``debts_minor`` is owed now.
    """

    student_id: str
    terminal_id: str
    sequence: int
    amount_minor: int
    subsidy_minor: int
    own_minor: int
    owed_minor: int
    collected_minor: int
    debts_minor: int
    status: Literal["charged", "owed", "already_charged"]


class SaleRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A sale that a terminal made offline."""

    sequence: Sequence
    student_id: StudentId
    amount_minor: _PurchaseMinor
    purchased_at: Instant
    signature: Signature


class UploadSales(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Upload sales, in any order and however late; what is there already changes nothing."""

    request_id: RequestId
    terminal_id: TerminalId
    records: Annotated[tuple[SaleRecord, ...], Meta(min_length=1, max_length=ROWS_MAX)]


class RecordRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A record that was not taken; ``index`` counts from 0."""

    index: int
    sequence: int
    code: RecordCode


class Uploaded(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an upload. ``missing`` are the first gaps below the highest number seen."""

    terminal_id: str
    accepted: int
    accepted_minor: int
    duplicates: int
    refused: tuple[RecordRefused, ...]
    missing: tuple[Span, ...]
    status: Literal["accepted", "partly", "nothing_new", "refused"]


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A sale as its student is charged with it."""

    terminal_id: str
    sequence: int
    payee: str
    category: Category
    amount_minor: int
    purchased_at: Instant

    @property
    def ref(self) -> str:
        """Return the name of the sale."""
        return f"{self.terminal_id}:{self.sequence}"


class ChargeSale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Charge a student with a sale that was made offline; sent by its terminal only."""

    request_id: RequestId
    student_id: StudentId
    zone: str
    sale: Sale


class NoteSale(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a terminal that one of its numbers was sold online; sent by a student only."""

    request_id: RequestId
    terminal_id: TerminalId
    sequence: Sequence
    digest: str
    amount_minor: _PurchaseMinor


class SaleNoted(msgspec.Struct, frozen=True, kw_only=True):
    """What the terminal made of it; all but ``new`` leave it as it was."""

    terminal_id: str
    sequence: int
    status: Literal["new", "duplicate", "conflict", "written_off", "too_many_gaps"]


class DebtRecorded(msgspec.Struct, frozen=True, kw_only=True):
    """A new entry of the overdraft list, and the sum of the list, minor units."""

    student_id: str
    ref: str
    payee: str
    amount_minor: int
    debts_minor: int


class CapExceeded(msgspec.Struct, frozen=True, kw_only=True):
    """A sale made offline took a day over the cap of the parents, minor units."""

    student_id: str
    ref: str
    day: str
    spent_minor: int
    day_cap_minor: int


class WriteOffSequence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give up numbers that will never come, because a terminal burnt or its memory is lost."""

    request_id: RequestId
    terminal_id: TerminalId
    first: Sequence
    last: Sequence
    reason: Reason


class SequenceWrittenOff(msgspec.Struct, frozen=True, kw_only=True):
    """How many of the numbers had not been seen and are given up now."""

    terminal_id: str
    first: int
    last: int
    written_off: int
    reason: str
    status: Literal["written_off"] = "written_off"


class GetTerminal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a terminal: what it has reported and what is missing."""

    terminal_id: TerminalId


class TerminalView(msgspec.Struct, frozen=True, kw_only=True):
    """A terminal as last committed; ``accepted`` counts its sales, and beside it in minor units."""

    terminal_id: str
    school_id: str
    payee: str
    category: Category
    accepted: int
    accepted_minor: int
    seen: tuple[Span, ...]
    missing: tuple[Span, ...]
    written_off: tuple[Span, ...]
    status: Literal["registered"] = "registered"
