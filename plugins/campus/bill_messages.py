"""Messages about bills: batches, payments, waivers, instalments, families."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText

from .bill import Bill, Instalment
from .fields import (
    ROWS_MAX,
    BillKind,
    BillMinor,
    GuardianId,
    Instant,
    Name,
    OfficerId,
    Reason,
    RowRefused,
    SchoolId,
    StudentId,
    TermId,
)

__all__ = (
    "FAMILY_ITEMS_MAX",
    "INSTALMENTS_MAX",
    "AgreeInstalments",
    "BatchView",
    "BillDue",
    "BillId",
    "BillIssued",
    "BillLate",
    "BillNoted",
    "BillPaid",
    "BillRow",
    "BillWaived",
    "BillsIssued",
    "CreditBill",
    "CreditTaken",
    "FamilyItem",
    "FamilyPaid",
    "GetBatch",
    "InstalmentsAgreed",
    "IssueBill",
    "IssueBills",
    "NoteBill",
    "PayBill",
    "PayFamily",
    "WaiveBill",
)

# Monthly parts of a school year.
INSTALMENTS_MAX = 12
# Bills that a parent pays at once: three children with six bills each, and some more.
FAMILY_ITEMS_MAX = 20

BillId = Annotated[
    Identifier, Meta(description="The batch that the bill came with: one bill a student each.")
]
_Weight = Annotated[int, Meta(ge=1, le=1_000)]


class BillRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One student's amount in a batch."""

    student_id: StudentId
    amount_minor: BillMinor


class IssueBills(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Issue a part of a batch of bills (批次账单); parts of one batch agree in all but the rows.

    A student gets one bill of a batch. Of a second one nothing comes, whatever its amount.
    """

    request_id: RequestId
    batch_id: BillId
    school_id: SchoolId
    term_id: TermId
    kind: BillKind
    title: Name
    due_at: Instant
    rows: Annotated[tuple[BillRow, ...], Meta(min_length=1, max_length=ROWS_MAX)]


class BillsIssued(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the part; ``accepted`` counts bills on their way to their students."""

    batch_id: str
    accepted: int
    accepted_minor: int
    refused: tuple[RowRefused, ...]
    status: Literal["issued"] = "issued"


class IssueBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Give a student a bill; sent by its batch only."""

    request_id: RequestId
    student_id: StudentId
    bill: Bill


class BillIssued(msgspec.Struct, frozen=True, kw_only=True):
    """A bill that stands, or the reason why it does not."""

    student_id: str
    bill_id: str
    kind: BillKind
    amount_minor: int
    due_at: Instant
    status: Literal["issued", "had_already", "has_left", "too_many", "other_school"]


class NoteBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a batch what became of one of its bills; sent by a student only."""

    request_id: RequestId
    batch_id: BillId
    issued_minor: Annotated[int, Meta(ge=0)] = 0
    paid_minor: Annotated[int, Meta(ge=0)] = 0
    waived_minor: Annotated[int, Meta(ge=0)] = 0
    settled: bool = False
    refused: bool = False


class BillNoted(msgspec.Struct, frozen=True, kw_only=True):
    """The batch has counted it."""

    batch_id: str
    status: Literal["noted"] = "noted"


class GetBatch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read how far a batch is."""

    batch_id: BillId


class BatchView(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as last committed, minor units. ``sent`` bills are issued, refused or on their way.

    ``open_minor`` is what is issued and neither paid nor waived.
    """

    batch_id: str
    school_id: str
    term_id: str
    kind: BillKind
    title: str
    due_at: Instant
    sent: int
    issued: int
    refused: int
    settled: int
    issued_minor: int
    paid_minor: int
    waived_minor: int
    open_minor: int
    status: Literal["open", "settled"]


class PayBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay a bill or a part of it: from a guardian's account, or from the wallet if none is named.

    Without an amount all that is open is paid.
    """

    request_id: RequestId
    student_id: StudentId
    bill_id: BillId
    guardian_id: GuardianId | None = None
    amount_minor: BillMinor | None = None


class BillPaid(msgspec.Struct, frozen=True, kw_only=True):
    """A payment of a bill, minor units; ``open_minor`` is what is left of the bill."""

    student_id: str
    bill_id: str
    kind: BillKind
    payer: str
    paid_minor: int
    open_minor: int
    status: Literal["settled", "partly_paid"]


class WaiveBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Forgive a bill or a part of it (减免). Without an amount all that is open is forgiven."""

    request_id: RequestId
    student_id: StudentId
    bill_id: BillId
    officer_id: OfficerId
    reason: Reason
    amount_minor: BillMinor | None = None


class BillWaived(msgspec.Struct, frozen=True, kw_only=True):
    """What was forgiven, by whom and why, and what is left of the bill."""

    student_id: str
    bill_id: str
    officer_id: str
    reason: str
    waived_minor: int
    open_minor: int
    status: Literal["waived", "partly_waived"]


class AgreeInstalments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Let what is open of a bill be paid in parts (分期缴费), in place of any older agreement.

    ``weights`` say how large the parts are against each other, such as ``[50, 30, 20]``; they are
    split by largest remainder.
    """

    request_id: RequestId
    student_id: StudentId
    bill_id: BillId
    officer_id: OfficerId
    weights: Annotated[tuple[_Weight, ...], Meta(min_length=2, max_length=INSTALMENTS_MAX)]
    first_due_at: Instant
    every_days: Annotated[int, Meta(ge=1, le=366)] = 30


class InstalmentsAgreed(msgspec.Struct, frozen=True, kw_only=True):
    """The parts that now count, minor units."""

    student_id: str
    bill_id: str
    officer_id: str
    open_minor: int
    instalments: tuple[Instalment, ...]
    status: Literal["agreed"] = "agreed"


class FamilyItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a family pays on one bill of one child."""

    student_id: StudentId
    bill_id: BillId
    amount_minor: BillMinor


class PayFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay bills of several children at once, all or nothing, from the guardian's account.

    The money is taken now. Each bill takes what it needs; what another parent has paid in the same
    second goes back, and an event says so.
    """

    request_id: RequestId
    guardian_id: GuardianId
    items: Annotated[tuple[FamilyItem, ...], Meta(min_length=1, max_length=FAMILY_ITEMS_MAX)]


class FamilyPaid(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken from the guardian's account for which bills."""

    guardian_id: str
    items: tuple[FamilyItem, ...]
    paid_minor: int
    status: Literal["paid"] = "paid"


class CreditBill(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring a student the family's payment of a bill; sent by the guardian only."""

    request_id: RequestId
    student_id: StudentId
    bill_id: BillId
    amount_minor: BillMinor
    clearing: AccountId
    payer: AccountId


class CreditTaken(msgspec.Struct, frozen=True, kw_only=True):
    """What the bill took of a family's payment, and what went back to the payer.

    ``waiting_minor`` could go to neither, because an account is closed: it stays in the school's
    clearing account, and somebody has to see to it.
    """

    student_id: str
    bill_id: str
    payer: str
    taken_minor: int
    returned_minor: int
    waiting_minor: int
    open_minor: int
    status: Literal["taken", "partly_returned", "returned", "waiting"]


class BillDue(msgspec.Struct, frozen=True, kw_only=True):
    """The timer of a bill: something of it falls due, or it is time for another reminder."""

    bill_id: BillId


class BillLate(msgspec.Struct, frozen=True, kw_only=True):
    """A reminder: ``overdue_minor`` should have been paid, ``open_minor`` is open in all."""

    student_id: str
    bill_id: str
    kind: BillKind
    title: ShortText
    overdue_minor: int
    open_minor: int
    reminder: int
    status: Literal["late"] = "late"
