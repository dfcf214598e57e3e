"""Messages about the school, its roster and its guardians."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import AccountId, Identifier, RequestId

from .bill import Bill
from .fields import (
    ROWS_MAX,
    GuardianId,
    Instant,
    Name,
    OfficerId,
    RowRefused,
    SchoolId,
    StudentId,
)
from .student import Debt, Grant, GuardianLink

__all__ = (
    "CLASSES_MAX",
    "GUARDIANS_MAX",
    "OFFICERS_MAX",
    "TERMS_MAX",
    "Accounts",
    "BindGuardian",
    "Child",
    "EnrolStudent",
    "FamilyView",
    "GetFamily",
    "GetSchool",
    "GetStudent",
    "GuardianBound",
    "ImportRoster",
    "Officer",
    "OpenSchool",
    "RosterImported",
    "SchoolClass",
    "SchoolOpened",
    "SchoolView",
    "StudentEnrolled",
    "StudentRow",
    "StudentView",
    "Term",
)

# Classes of one school: the largest boarding schools have some two hundred; universities have about
# two thousand, and bill by faculty. It bounds the document.
CLASSES_MAX = 250
# Four years of two terms and a summer, and some more.
TERMS_MAX = 16
OFFICERS_MAX = 32
# Two parents, a grandparent, and the student in person.
GUARDIANS_MAX = 4


class Accounts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The accounts of a school.

    Fees go to ``supervised`` (监管账户) and leave it by a release of two officers. ``clearing``
    holds payments of families until the bills have taken them. ``subsidy_fund`` is where subsidies
    come from and what is left of them goes back to. ``power`` gets the money for dormitory power.
    """

    supervised: AccountId
    clearing: AccountId
    subsidy_fund: AccountId
    power: AccountId


class Officer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody of the school's finance, and what that person may do."""

    officer_id: OfficerId
    may_request: bool = False
    may_approve: bool = False


class OpenSchool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Open a school, or change its accounts, officers and rules; its roster stays."""

    request_id: RequestId
    school_id: SchoolId
    accounts: Accounts
    officers: Annotated[tuple[Officer, ...], Meta(min_length=1, max_length=OFFICERS_MAX)]
    zone: Annotated[str, Meta(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*(?!\n)$")] = (
        "Asia/Shanghai"
    )
    remind_every_days: Annotated[int, Meta(ge=1, le=90)] = 7


class SchoolOpened(msgspec.Struct, frozen=True, kw_only=True):
    """The school as it stands."""

    school_id: str
    accounts: Accounts
    status: Literal["opened", "updated", "unchanged"]


class Term(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A term (学期)."""

    term_id: Identifier
    name: Name
    begins_at: Instant
    ends_at: Instant


class SchoolClass(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A class (班级) and the grade it belongs to."""

    class_id: Identifier
    grade: Name


class StudentRow(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A student as the school's own system has it. Identity numbers have no place here."""

    student_id: StudentId
    class_id: Identifier
    name: Name
    guardians: Annotated[tuple[GuardianLink, ...], Meta(max_length=GUARDIANS_MAX)] = ()


class ImportRoster(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Take over a part of the roster. What it does not name stays as it is.

    Terms and classes stand at once; each student is told, and an event says so. Of two parts about
    one student the one sent last counts, in whatever order they arrive at the student.
    """

    request_id: RequestId
    school_id: SchoolId
    terms: Annotated[tuple[Term, ...], Meta(max_length=TERMS_MAX)] = ()
    classes: Annotated[tuple[SchoolClass, ...], Meta(max_length=ROWS_MAX)] = ()
    students: Annotated[tuple[StudentRow, ...], Meta(max_length=ROWS_MAX)] = ()


class RosterImported(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the part; ``accepted`` counts students that are being told."""

    school_id: str
    revision: int
    terms: int
    classes: int
    accepted: int
    refused: tuple[RowRefused, ...]
    status: Literal["imported"] = "imported"


class EnrolStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tell a student what the roster says; sent by the school's import only."""

    request_id: RequestId
    student_id: StudentId
    school_id: SchoolId
    class_id: Identifier
    name: Name
    guardians: Annotated[tuple[GuardianLink, ...], Meta(max_length=GUARDIANS_MAX)]
    revision: Annotated[int, Meta(ge=1)]


class StudentEnrolled(msgspec.Struct, frozen=True, kw_only=True):
    """The student's entry as it stands. ``stale`` is a message that a later one overtook.

    ``refused`` is one for a student who is at another school and has not left it.
    """

    student_id: str
    school_id: str
    class_id: str
    revision: int
    status: Literal["enrolled", "updated", "unchanged", "returned", "stale", "refused"]


class BindGuardian(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Name the account from which a guardian pays, and to which money goes back."""

    request_id: RequestId
    guardian_id: GuardianId
    account_id: AccountId


class GuardianBound(msgspec.Struct, frozen=True, kw_only=True):
    """The account that stands."""

    guardian_id: str
    account_id: str
    status: Literal["bound", "unchanged"]


class GetSchool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a school."""

    school_id: SchoolId


class SchoolView(msgspec.Struct, frozen=True, kw_only=True):
    """A school as last committed."""

    school_id: str
    accounts: Accounts
    officers: tuple[Officer, ...]
    zone: str
    remind_every_days: int
    terms: tuple[Term, ...]
    classes: tuple[SchoolClass, ...]
    revision: int
    status: Literal["open"] = "open"


class GetStudent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what is kept of a student."""

    student_id: StudentId


class StudentView(msgspec.Struct, frozen=True, kw_only=True):
    """A student as last committed; minor units. What is in the wallet, the account itself tells."""

    student_id: str
    school_id: str
    class_id: str
    name: str
    guardians: tuple[GuardianLink, ...]
    revision: int
    wallet: str | None
    day_cap_minor: int | None
    debts: tuple[Debt, ...]
    debts_minor: int
    grants: tuple[Grant, ...]
    grants_minor: int
    bills: tuple[Bill, ...]
    bills_minor: int
    bills_ended: int
    sales: int
    status: Literal["active", "left"]


class GetFamily(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read what the named children owe, as it was a second ago at most."""

    guardian_id: GuardianId
    student_ids: Annotated[tuple[StudentId, ...], Meta(min_length=1, max_length=20)]


class Child(msgspec.Struct, frozen=True, kw_only=True):
    """One child's open bills and debts, minor units."""

    student_id: str
    bills: tuple[Bill, ...]
    bills_minor: int
    debts_minor: int


class FamilyView(msgspec.Struct, frozen=True, kw_only=True):
    """The children of a guardian and what they owe together, minor units."""

    guardian_id: str
    account_id: str
    children: tuple[Child, ...]
    bills_minor: int
    debts_minor: int
    status: Literal["bound"] = "bound"
