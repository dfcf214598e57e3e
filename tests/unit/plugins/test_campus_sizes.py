"""The largest documents of the campus: all of them fit into what a host stores."""

from datetime import UTC, date, datetime

import msgspec

from plugins.campus.bill import Bill, Instalment
from plugins.campus.bill_desk import BILLS_MAX
from plugins.campus.bill_messages import INSTALMENTS_MAX
from plugins.campus.fields import BILL_MINOR_MAX, PURCHASE_MINOR_MAX, TOP_UP_MINOR_MAX
from plugins.campus.roster_messages import (
    CLASSES_MAX,
    GUARDIANS_MAX,
    OFFICERS_MAX,
    TERMS_MAX,
    Accounts,
    Officer,
    SchoolClass,
    Term,
)
from plugins.campus.school import School
from plugins.campus.sequence import Span
from plugins.campus.student import (
    CHARGED_MAX,
    DEBTS_MAX,
    ENDED_MAX,
    GRANTS_MAX,
    SPENT_DAYS_MAX,
    Charged,
    DaySpent,
    Debt,
    Grant,
    GuardianLink,
    Student,
)
from plugins.campus.terminal import GAPS_MAX, PRINTS_MAX, Print, Terminal

DOCUMENT_BYTES_MAX = 65_536

# The longest that each field takes.
WHEN = datetime(2026, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
ID = "i" * 64
NAME = "学" * 40
REF = f"{ID}:{2**32}"


def size(document: msgspec.Struct) -> int:
    """Return how many bytes a document has as it is stored."""
    return len(msgspec.json.encode(document))


def test_largest_student_fits() -> None:
    """Nothing ever paid, everything in instalments, every till owed, the longest names."""
    part = Instalment(due_at=WHEN, amount_minor=BILL_MINOR_MAX)
    bill = Bill(
        bill_id=ID,
        school_id=ID,
        term_id=ID,
        kind="insurance",
        title=NAME,
        payee=ID,
        due_at=WHEN,
        amount_minor=BILL_MINOR_MAX,
        remind_every_days=90,
        paid_minor=BILL_MINOR_MAX,
        waived_minor=BILL_MINOR_MAX,
        instalments=(part,) * INSTALMENTS_MAX,
        settled_before_minor=BILL_MINOR_MAX,
        reminders=12,
    )
    debt = Debt(ref=REF, payee=ID, amount_minor=PURCHASE_MINOR_MAX, purchased_at=WHEN, sales=99)
    grant = Grant(
        grant_id=ID,
        hold="grant-10000",
        left_minor=TOP_UP_MINOR_MAX,
        purpose="canteen",
        expires_at=WHEN,
    )
    student = Student(
        student_id=ID,
        school_id=ID,
        class_id=ID,
        name=NAME,
        guardians=(GuardianLink(guardian_id=ID),) * GUARDIANS_MAX,
        revision=10**6,
        wallet=ID,
        day_cap_minor=TOP_UP_MINOR_MAX,
        spent=(DaySpent(day=date(2026, 1, 1), amount_minor=10**7),) * SPENT_DAYS_MAX,
        # As many tills again as there are entries of one.
        debts=(debt,) * (2 * DEBTS_MAX),
        grants=(grant,) * GRANTS_MAX,
        grants_given=10**4,
        grants_ended=(ID,) * ENDED_MAX,
        bills=(bill,) * BILLS_MAX,
        bills_ended=(ID,) * ENDED_MAX,
        charged=(Charged(purchased_at=WHEN, ref=REF, amount_minor=PURCHASE_MINOR_MAX),)
        * CHARGED_MAX,
    )
    assert size(student) <= DOCUMENT_BYTES_MAX


def test_largest_school_fits() -> None:
    """As many classes, terms and officers as there may be."""
    school = School(
        school_id=ID,
        accounts=Accounts(supervised=ID, clearing=ID, subsidy_fund=ID, power=ID),
        officers=(Officer(officer_id=ID, may_request=True, may_approve=True),) * OFFICERS_MAX,
        zone="z" * 64,
        remind_every_days=90,
        terms=(Term(term_id=ID, name=NAME, begins_at=WHEN, ends_at=WHEN),) * TERMS_MAX,
        classes=(SchoolClass(class_id=ID, grade=NAME),) * CLASSES_MAX,
        revision=10**6,
    )
    assert size(school) <= DOCUMENT_BYTES_MAX


def test_largest_terminal_fits() -> None:
    """As many gaps and prints as there may be."""
    spans = (Span(first=2**32 - 1, last=2**32),) * GAPS_MAX
    terminal = Terminal(
        terminal_id=ID,
        school_id=ID,
        payee=ID,
        category="canteen",
        keys=("a" * 64,) * 2,
        seen=spans,
        written_off=spans,
        prints=(Print(2**32, "a" * 16),) * PRINTS_MAX,
        accepted=2**32,
        accepted_minor=10**13,
    )
    assert size(terminal) <= DOCUMENT_BYTES_MAX
