"""A batch of bills: the school issues it in parts, and sees how far it is.

The batch sends each student a bill and counts what the students tell it. The students decide: one
bill of a batch each, none for who has left. So the same part sent again under another id, or a file
with a row twice, bills nobody twice.
"""

from typing import Literal

from msgspec.structs import replace

from schemas.effects import Send
from zhihui.plugin import (
    Context,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .batch import Batch
from .bill import Bill
from .bill_messages import (
    BatchView,
    BillNoted,
    BillRow,
    BillsIssued,
    GetBatch,
    IssueBill,
    IssueBills,
    NoteBill,
)
from .fields import SENT, RowRefused
from .lookups import read_school
from .school import School
from .student import Student

__all__ = ("get_batch", "issue_bills", "note_bill")


@operation(
    "issue_bills",
    collection="batch",
    key="batch_id",
    state=Batch,
    result=BillsIssued,
    errors=("not_found", "invalid_state"),
    events=("campus.bills_issued",),
)
async def issue_bills(
    pack: Pack, context: Context, message: IssueBills, batch: Batch | None
) -> Plan:
    """Issue a part of a batch of bills."""
    school = await read_school(context, message.school_id)
    if not school.has_term(message.term_id):
        raise NotFound(
            f"school {school.school_id!r} has no term {message.term_id!r}", field="term_id"
        )
    fresh = Batch(
        batch_id=message.batch_id,
        school_id=message.school_id,
        term_id=message.term_id,
        kind=message.kind,
        title=message.title,
        due_at=message.due_at,
    )
    known = batch or fresh
    if known.header() != fresh.header():
        raise InvalidState(
            f"batch {message.batch_id!r} was begun as {known.kind} of {known.term_id!r}, due at "
            f"{known.due_at.isoformat()}, titled {known.title!r}; its parts differ in rows only",
            field="batch_id",
        )
    accepted, refused = await _sort_rows(context, school, message.rows)
    result = BillsIssued(
        batch_id=known.batch_id,
        accepted=len(accepted),
        accepted_minor=sum(row.amount_minor for row in accepted),
        refused=refused,
    )
    return Plan(
        state=replace(known, sent=known.sent + len(accepted)),
        effects=tuple(
            Send(verb="issue_bill", body=_bill_for(row, known, school)) for row in accepted
        ),
        result=result,
        notices=(Notice(type="campus.bills_issued", subject=known.batch_id, data=result),),
    )


async def _sort_rows(
    context: Context, school: School, rows: tuple[BillRow, ...]
) -> tuple[list[BillRow], tuple[RowRefused, ...]]:
    accepted: list[BillRow] = []
    refused: list[RowRefused] = []
    seen: set[str] = set()
    for number, row in enumerate(rows):
        student = await context.read("student", row.student_id, Student)
        refusal = RowRefused(row=number, student_id=row.student_id, code="duplicate_row")
        if row.student_id in seen:
            refused.append(refusal)
        elif student is None:
            refused.append(replace(refusal, code="unknown_student"))
        elif student.school_id != school.school_id:
            refused.append(replace(refusal, code="other_school"))
        elif student.status == "left":
            refused.append(replace(refusal, code="has_left"))
        else:
            accepted.append(row)
        seen.add(row.student_id)
    return accepted, tuple(refused)


def _bill_for(row: BillRow, batch: Batch, school: School) -> IssueBill:
    bill = Bill(
        bill_id=batch.batch_id,
        school_id=batch.school_id,
        term_id=batch.term_id,
        kind=batch.kind,
        title=batch.title,
        payee=school.accounts.supervised,
        due_at=batch.due_at,
        amount_minor=row.amount_minor,
        remind_every_days=school.remind_every_days,
    )
    return IssueBill(request_id=SENT, student_id=row.student_id, bill=bill)


@operation(
    "note_bill",
    collection="batch",
    key="batch_id",
    state=Batch,
    result=BillNoted,
    errors=("not_found",),
    events=("campus.batch_settled",),
    internal=True,
)
async def note_bill(pack: Pack, context: Context, message: NoteBill, batch: Batch | None) -> Plan:
    """Count what became of a bill; sent by its student only."""
    known = _known(batch, message.batch_id)
    counted = replace(
        known,
        issued=known.issued + (message.issued_minor > 0),
        refused=known.refused + message.refused,
        settled=known.settled + message.settled,
        issued_minor=known.issued_minor + message.issued_minor,
        paid_minor=known.paid_minor + message.paid_minor,
        waived_minor=known.waived_minor + message.waived_minor,
    )
    over = message.settled and _status(counted) == "settled"
    notice = Notice(type="campus.batch_settled", subject=known.batch_id, data=_view(counted))
    return Plan(
        state=counted,
        result=BillNoted(batch_id=known.batch_id),
        notices=(notice,) if over else (),
    )


@operation(
    "get_batch",
    collection="batch",
    key="batch_id",
    state=Batch,
    result=BatchView,
    mutates=False,
    errors=("not_found",),
)
async def get_batch(
    pack: Pack, context: Context, message: GetBatch, batch: Batch | None
) -> BatchView:
    """Read how far a batch is: issued, paid, waived, settled."""
    return _view(_known(batch, message.batch_id))


def _known(batch: Batch | None, batch_id: str) -> Batch:
    if batch is None:
        raise NotFound(f"no batch {batch_id!r}; issue its bills first", field="batch_id")
    return batch


def _status(batch: Batch) -> Literal["open", "settled"]:
    # What is on its way may still be issued.
    done = batch.issued + batch.refused == batch.sent and batch.settled == batch.issued
    return "settled" if done else "open"


def _view(batch: Batch) -> BatchView:
    return BatchView(
        batch_id=batch.batch_id,
        school_id=batch.school_id,
        term_id=batch.term_id,
        kind=batch.kind,
        title=batch.title,
        due_at=batch.due_at,
        sent=batch.sent,
        issued=batch.issued,
        refused=batch.refused,
        settled=batch.settled,
        issued_minor=batch.issued_minor,
        paid_minor=batch.paid_minor,
        waived_minor=batch.waived_minor,
        open_minor=batch.issued_minor - batch.paid_minor - batch.waived_minor,
        status=_status(batch),
    )
