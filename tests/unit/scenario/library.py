"""A pack of another trade than the bundled ones: a library with deposits, fines and reservations.

It uses every effect that a host offers, and is played in memory, under virtual time.
"""

from datetime import timedelta

import msgspec
from msgspec.structs import replace

from schemas.identifiers import AccountId, Identifier, RequestId
from schemas.money import AmountMinor
from zhihui.plugin import (
    Cancel,
    CaptureHold,
    Context,
    HoldExpired,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Pay,
    PlaceHold,
    Plan,
    Schedule,
    Send,
    Share,
    VoidHold,
    on_timer,
    operation,
)

__all__ = (
    "ALL_CAPABILITIES", "DAY_S", "FINE_MINOR", "Book", "Borrow", "DayOver", "GiveBack", "Join",
    "Library", "LoanDue", "Member", "NoteLoan", "ReadBook", "ReadMember", "Remind", "Reserve",
    "StopReminding", "Subscribe",
)  # fmt: skip

ALL_CAPABILITIES = frozenset({"pay", "split", "hold", "schedule", "send", "read"})
FINE_MINOR = 100
# A short day: a virtual one is lived through in steps of half a second.
DAY_S = 60


class Join(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Become a member, whose fines go to the till, and half of them to the authors."""

    request_id: RequestId
    member_id: Identifier
    account_id: AccountId
    till: AccountId
    authors: AccountId


class Borrow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take a book home for some minutes against a deposit."""

    request_id: RequestId
    member_id: Identifier
    book_id: Identifier
    minutes: int
    deposit_minor: AmountMinor


class GiveBack(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bring the book of a loan back."""

    request_id: RequestId
    member_id: Identifier
    loan: int


class Reserve(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Have a reading room kept for some seconds against a deposit."""

    request_id: RequestId
    member_id: Identifier
    seconds: int
    deposit_minor: AmountMinor


class Subscribe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pay a fee, of which the authors get a share; with less money, half of it."""

    request_id: RequestId
    member_id: Identifier
    fee_minor: AmountMinor


class Remind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Count the days from now on."""

    request_id: RequestId
    member_id: Identifier


class StopReminding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Count them no longer."""

    request_id: RequestId
    member_id: Identifier


class NoteLoan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a book's own page is told of its loans."""

    request_id: RequestId
    book_id: Identifier
    member_id: Identifier
    event: str


class ReadMember(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a member."""

    member_id: Identifier


class ReadBook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a book."""

    book_id: Identifier


class LoanDue(msgspec.Struct, frozen=True, kw_only=True):
    """The time of a loan is over."""

    loan: int


class DayOver(msgspec.Struct, frozen=True, kw_only=True):
    """Another day has passed."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """The page of a member."""

    member_id: str
    account_id: str
    till: str
    authors: str
    loans: dict[str, str] = {}
    numbered: int = 0
    fines: int = 0
    days: int = 0
    lapsed: tuple[str, ...] = ()
    paid_minor: int = 0


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The page of a book: how often what happened to it, and under which ids it was told."""

    book_id: str
    events: dict[str, int] = {}
    told: tuple[str, ...] = ()


class Library(Pack):
    """Lend books."""

    name = "library"

    def __init__(self) -> None:
        self.granted = ALL_CAPABILITIES

    @operation("join", collection="member", key="member_id", state=Member, result=Member)
    async def join(self, context: Context, message: Join, member: Member | None) -> Plan:
        """Become a member."""
        new = Member(
            member_id=message.member_id,
            account_id=message.account_id,
            till=message.till,
            authors=message.authors,
        )
        return Plan(state=new, result=new)

    @operation(
        "borrow", collection="member", key="member_id", state=Member, result=Member,
        errors=("not_found", "insufficient_funds"), events=("library.borrowed",),
    )  # fmt: skip
    async def borrow(self, context: Context, message: Borrow, member: Member | None) -> Plan:
        """Take a book home."""
        known = _known(member)
        number = known.numbered + 1
        after = replace(known, numbered=number, loans={**known.loans, str(number): message.book_id})
        return Plan(
            state=after,
            effects=(
                PlaceHold(
                    name=f"loan-{number}",
                    account_id=known.account_id,
                    amount_minor=message.deposit_minor,
                    payee=known.till,
                    reference=message.book_id,
                ),
                Schedule(
                    name=f"due-{number}",
                    due_at=context.now + timedelta(minutes=message.minutes),
                    body=LoanDue(loan=number),
                ),
                _note(known, message.book_id, "lent"),
            ),
            notices=(Notice(type="library.borrowed", subject=known.member_id, data=after),),
            result=after,
        )

    @operation(
        "give_back", collection="member", key="member_id", state=Member, result=Member,
        errors=("not_found", "invalid_state"),
    )  # fmt: skip
    async def give_back(self, context: Context, message: GiveBack, member: Member | None) -> Plan:
        """Bring a book back."""
        known = _known(member)
        book = known.loans.get(str(message.loan))
        if book is None:
            raise InvalidState(f"loan {message.loan} is over", field="loan")
        after = _without(known, message.loan)
        effects = (
            VoidHold(name=f"loan-{message.loan}"),
            Cancel(name=f"due-{message.loan}"),
            _note(known, book, "returned"),
        )
        return Plan(state=after, effects=effects, result=after)

    @on_timer("fine", collection="member", state=Member, body=LoanDue, events=("library.fined",))
    async def fine(
        self, context: Context, body: LoanDue, member: Member | None
    ) -> tuple[Plan, ...]:
        """Take a fine out of the deposit of a book that has not come back."""
        known = _known(member)
        book = known.loans.get(str(body.loan))
        if book is None:
            return (Plan(),)
        after = replace(_without(known, body.loan), fines=known.fines + 1)
        capture = CaptureHold(
            name=f"loan-{body.loan}",
            amount_minor=FINE_MINOR,
            final=True,
            shares=(Share(payee=known.authors, amount_minor=FINE_MINOR // 2),),
        )
        notice = Notice(type="library.fined", subject=known.member_id, data=after)
        return (
            Plan(state=after, effects=(capture, _note(known, book, "fined")), notices=(notice,)),
        )

    @operation(
        "reserve", collection="member", key="member_id", state=Member, result=Member,
        errors=("not_found", "insufficient_funds"),
    )  # fmt: skip
    async def reserve(self, context: Context, message: Reserve, member: Member | None) -> Plan:
        """Have a room kept."""
        known = _known(member)
        after = replace(known, numbered=known.numbered + 1)
        room = PlaceHold(
            name=f"room-{after.numbered}",
            account_id=known.account_id,
            amount_minor=message.deposit_minor,
            expires_in_s=message.seconds,
        )
        return Plan(state=after, effects=(room,), result=after)

    @on_timer(
        "room_lapsed", collection="member", state=Member, body=HoldExpired,
        events=("library.lapsed",),
    )  # fmt: skip
    async def room_lapsed(self, context: Context, body: HoldExpired, member: Member | None) -> Plan:
        """Note the rooms that nobody came for."""
        known = _known(member)
        after = replace(known, lapsed=(*known.lapsed, body.name))
        notice = Notice(type="library.lapsed", subject=known.member_id, data=after)
        return Plan(state=after, notices=(notice,))

    @operation(
        "subscribe", collection="member", key="member_id", state=Member, result=Member,
        errors=("not_found", "insufficient_funds"),
    )  # fmt: skip
    async def subscribe(
        self, context: Context, message: Subscribe, member: Member | None
    ) -> tuple[Plan, ...]:
        """Pay the fee."""
        known = _known(member)
        return tuple(_subscribed(known, fee) for fee in (message.fee_minor, message.fee_minor // 2))

    @operation("remind", collection="member", key="member_id", state=Member, result=Member)
    async def remind(self, context: Context, message: Remind, member: Member | None) -> Plan:
        """Begin to count days."""
        known = _known(member)
        first = context.now + timedelta(seconds=DAY_S)
        daily = Schedule(name="day", due_at=first, body=DayOver(), every_s=DAY_S)
        return Plan(effects=(daily,), result=known)

    @operation("stop", collection="member", key="member_id", state=Member, result=Member)
    async def stop(self, context: Context, message: StopReminding, member: Member | None) -> Plan:
        """End the count."""
        return Plan(effects=(Cancel(name="day"),), result=_known(member))

    @on_timer("day_over", collection="member", state=Member, body=DayOver)
    async def day_over(self, context: Context, body: DayOver, member: Member | None) -> Plan:
        """Count a day."""
        known = _known(member)
        return Plan(state=replace(known, days=known.days + 1))

    @operation(
        "note_loan", collection="book", key="book_id", state=Book, result=Book, internal=True
    )
    async def note_loan(self, context: Context, message: NoteLoan, book: Book | None) -> Plan:
        """Note what a member did with the book."""
        known = book or Book(book_id=message.book_id)
        if message.event == "refuse":
            raise NotFound("such news are refused")
        events = {**known.events, message.event: known.events.get(message.event, 0) + 1}
        after = replace(known, events=events, told=(*known.told, message.request_id))
        return Plan(state=after, result=after)

    @operation(
        "get_member", collection="member", key="member_id", state=Member, result=Member,
        mutates=False,
    )  # fmt: skip
    async def get_member(
        self, context: Context, message: ReadMember, member: Member | None
    ) -> Member:
        """Read a member."""
        return _known(member)

    @operation("get_book", collection="book", key="book_id", state=Book, result=Book, mutates=False)
    async def get_book(self, context: Context, message: ReadBook, book: Book | None) -> Book:
        """Read a book."""
        return book or Book(book_id=message.book_id)


def _known(member: Member | None) -> Member:
    if member is None:
        raise NotFound("no such member", field="member_id")
    return member


def _without(member: Member, loan: int) -> Member:
    loans = {number: book for number, book in member.loans.items() if number != str(loan)}
    return replace(member, loans=loans)


def _note(member: Member, book_id: str, event: str) -> Send:
    news = NoteLoan(request_id="sent", book_id=book_id, member_id=member.member_id, event=event)
    return Send(verb="note_loan", body=news)


def _subscribed(member: Member, fee_minor: int) -> Plan:
    after = replace(member, paid_minor=member.paid_minor + fee_minor)
    pay = Pay(
        payer=member.account_id,
        payee=member.till,
        amount_minor=fee_minor,
        shares=(Share(payee=member.authors, amount_minor=fee_minor // 4),),
    )
    return Plan(state=after, effects=(pay,), result=after)
