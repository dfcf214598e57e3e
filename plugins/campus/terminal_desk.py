"""Terminals: registered with a key, they upload what they sold offline.

An upload is judged record by record, and the good ones are on their way to their students with the
answer. A record that is refused leaves no trace: its number stays missing, so that it can be sent
again when the roster, the clock or the key is put right.
"""

from typing import Literal

from msgspec.structs import replace

from schemas.effects import Send
from zhihui.plugin import (
    Context,
    InvalidField,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .fields import SENT
from .lookups import read_school
from .moments import in_past
from .sale_messages import (
    ChargeSale,
    GetTerminal,
    NoteSale,
    RecordCode,
    RecordRefused,
    RegisterTerminal,
    Sale,
    SaleNoted,
    SaleRecord,
    SequenceWrittenOff,
    TerminalRegistered,
    TerminalView,
    Uploaded,
    UploadSales,
    WriteOffSequence,
)
from .sequence import Span, added, gaps, numbers
from .signature import is_signed, signed_text
from .student import Student
from .terminal import GAPS_MAX, SHOWN_MAX, Terminal, print_of

__all__ = (
    "get_terminal",
    "note_sale",
    "register_terminal",
    "upload_sales",
    "write_off_sequence",
)

# Keys of a terminal that are taken: the present one and the one before.
_KEYS_MAX = 2


@operation(
    "register_terminal",
    collection="terminal",
    key="terminal_id",
    state=Terminal,
    result=TerminalRegistered,
    errors=("not_found", "invalid_state"),
    events=("campus.terminal_registered",),
)
async def register_terminal(
    pack: Pack, context: Context, message: RegisterTerminal, terminal: Terminal | None
) -> Plan:
    """Register a terminal, or give it another key."""
    await read_school(context, message.school_id)
    fresh = Terminal(
        terminal_id=message.terminal_id,
        school_id=message.school_id,
        payee=message.payee,
        category=message.category,
        keys=(message.public_key,),
    )
    known = terminal or fresh
    wanted = (fresh.school_id, fresh.payee, fresh.category)
    if (known.school_id, known.payee, known.category) != wanted:
        raise InvalidState(
            f"terminal {message.terminal_id!r} is a {known.category} of {known.school_id!r} that "
            f"pays to {known.payee!r}; give another operator another terminal",
            field="terminal_id",
        )
    keys = tuple(dict.fromkeys((message.public_key, *known.keys)))[:_KEYS_MAX]
    after = replace(known, keys=keys)
    result = TerminalRegistered(
        terminal_id=after.terminal_id,
        school_id=after.school_id,
        payee=after.payee,
        category=after.category,
        status="registered" if terminal is None
        else "unchanged" if after == terminal
        else "rekeyed",
    )  # fmt: skip
    notice = Notice(type="campus.terminal_registered", subject=after.terminal_id, data=result)
    return Plan(
        state=after, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


@operation(
    "upload_sales",
    collection="terminal",
    key="terminal_id",
    state=Terminal,
    result=Uploaded,
    errors=("not_found",),
    events=("campus.sales_uploaded", "campus.terminal_conflict"),
)
async def upload_sales(
    pack: Pack, context: Context, message: UploadSales, terminal: Terminal | None
) -> Plan:
    """Upload sales that were made offline."""
    known = _known(terminal, message.terminal_id)
    school = await read_school(context, known.school_id)
    after, charges, refused = known, [], []
    for index, record in enumerate(message.records):
        signed = signed_text(
            known.terminal_id, record.sequence, record.student_id, record.amount_minor,
            record.purchased_at,
        )  # fmt: skip
        fault = await _fault(context, after, record, signed)
        if fault == "duplicate":
            continue
        if fault is not None:
            refused.append(RecordRefused(index=index, sequence=record.sequence, code=fault))
            continue
        after = after.with_record(record.sequence, print_of(signed), record.amount_minor)
        charges.append(
            ChargeSale(
                request_id=SENT,
                student_id=record.student_id,
                zone=school.zone,
                sale=_sale(known, record),
            )
        )
    duplicates = len(message.records) - len(charges) - len(refused)
    result = Uploaded(
        terminal_id=known.terminal_id,
        accepted=len(charges),
        accepted_minor=sum(charge.sale.amount_minor for charge in charges),
        duplicates=duplicates,
        refused=tuple(refused),
        missing=after.missing[:SHOWN_MAX],
        status="accepted" if charges and not refused
        else "partly" if charges
        else "refused" if refused
        else "nothing_new",
    )  # fmt: skip
    types = ["campus.sales_uploaded"] if charges or refused else []
    if any(one.code == "conflict" for one in refused):
        # Two sales under one number: a terminal was copied, or set back. Somebody has to look.
        types.append("campus.terminal_conflict")
    return Plan(
        state=after,
        effects=tuple(Send(verb="charge_sale", body=charge) for charge in charges),
        result=result,
        notices=tuple(Notice(type=one, subject=known.terminal_id, data=result) for one in types),
    )


async def _fault(
    context: Context, terminal: Terminal, record: SaleRecord, signed: bytes
) -> RecordCode | Literal["duplicate"] | None:
    """Return why a record is not taken, or None when it is."""
    if not in_past(context, record.purchased_at):
        return "time_out_of_range"
    if not is_signed(terminal.keys, signed, record.signature):
        return "bad_signature"
    judged = terminal.judge(record.sequence, print_of(signed))
    if judged != "new":
        return judged
    student = await context.read("student", record.student_id, Student)
    if student is None:
        return "unknown_student"
    # Who has left may have bought before: the sale stands, and is owed.
    return None if student.school_id == terminal.school_id else "other_school"


def _sale(terminal: Terminal, record: SaleRecord) -> Sale:
    return Sale(
        terminal_id=terminal.terminal_id,
        sequence=record.sequence,
        payee=terminal.payee,
        category=terminal.category,
        amount_minor=record.amount_minor,
        purchased_at=record.purchased_at,
    )


@operation(
    "note_sale",
    collection="terminal",
    key="terminal_id",
    state=Terminal,
    result=SaleNoted,
    errors=("not_found",),
    events=("campus.terminal_conflict",),
    internal=True,
)
async def note_sale(
    pack: Pack, context: Context, message: NoteSale, terminal: Terminal | None
) -> Plan:
    """Count a number that was sold online; sent by a student only."""
    known = _known(terminal, message.terminal_id)
    judged = known.judge(message.sequence, message.digest)
    result = SaleNoted(terminal_id=known.terminal_id, sequence=message.sequence, status=judged)
    if judged == "new":
        noted = known.with_record(message.sequence, message.digest, message.amount_minor)
        return Plan(state=noted, result=result)
    notice = Notice(type="campus.terminal_conflict", subject=known.terminal_id, data=result)
    return Plan(result=result, notices=(notice,) if judged == "conflict" else ())


@operation(
    "write_off_sequence",
    collection="terminal",
    key="terminal_id",
    state=Terminal,
    result=SequenceWrittenOff,
    errors=("not_found", "invalid_state"),
    events=("campus.sequence_written_off",),
)
async def write_off_sequence(
    pack: Pack, context: Context, message: WriteOffSequence, terminal: Terminal | None
) -> Plan:
    """Give up numbers of a terminal that will never come."""
    known = _known(terminal, message.terminal_id)
    if message.last < message.first:
        raise InvalidField(f"last is {message.last}, below first, {message.first}", field="last")
    seen, written_off = known.seen, known.written_off
    given_up = gaps(known.seen, Span(first=message.first, last=message.last))
    for span in given_up:
        seen, written_off = added(seen, span), added(written_off, span)
    if len(seen) > GAPS_MAX or len(written_off) > GAPS_MAX:
        raise InvalidState(
            f"terminal {known.terminal_id!r} would have more than {GAPS_MAX} spans; write off from "
            "the lowest missing number on",
            field="first",
        )
    result = SequenceWrittenOff(
        terminal_id=known.terminal_id,
        first=message.first,
        last=message.last,
        written_off=numbers(given_up),
        reason=message.reason,
    )
    notice = Notice(type="campus.sequence_written_off", subject=known.terminal_id, data=result)
    return Plan(
        state=replace(known, seen=seen, written_off=written_off),
        result=result,
        notices=(notice,) if given_up else (),
    )


@operation(
    "get_terminal",
    collection="terminal",
    key="terminal_id",
    state=Terminal,
    result=TerminalView,
    mutates=False,
    errors=("not_found",),
)
async def get_terminal(
    pack: Pack, context: Context, message: GetTerminal, terminal: Terminal | None
) -> TerminalView:
    """Read a terminal: what it has reported and what is missing."""
    known = _known(terminal, message.terminal_id)
    return TerminalView(
        terminal_id=known.terminal_id,
        school_id=known.school_id,
        payee=known.payee,
        category=known.category,
        accepted=known.accepted,
        accepted_minor=known.accepted_minor,
        seen=known.seen,
        missing=known.missing,
        written_off=known.written_off,
    )


def _known(terminal: Terminal | None, terminal_id: str) -> Terminal:
    if terminal is None:
        raise NotFound(f"no terminal {terminal_id!r}; register it first", field="terminal_id")
    return terminal
