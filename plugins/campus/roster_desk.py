"""The school opens and brings its roster.

A roster comes in parts of at most fifty rows. Terms and classes are the school's own and stand with
the part; each student is another identity and gets a message. Those may overtake each other, so
each carries the number of its part, and a student takes no number that is not higher than its own.
"""

from typing import Literal

from msgspec.structs import replace

from schemas.effects import Send
from zhihui.plugin import (
    Context,
    InvalidField,
    NotFound,
    Notice,
    Pack,
    Plan,
    operation,
)

from .fields import SENT, RowRefused
from .lookups import known_student
from .moments import load_zone
from .roster_messages import (
    CLASSES_MAX,
    TERMS_MAX,
    EnrolStudent,
    GetSchool,
    GetStudent,
    ImportRoster,
    OpenSchool,
    RosterImported,
    SchoolOpened,
    SchoolView,
    StudentEnrolled,
    StudentRow,
    StudentView,
)
from .school import School
from .student import Student

__all__ = (
    "enrol",
    "get_school",
    "get_student",
    "import_roster",
    "open_school",
)

_Status = Literal["enrolled", "updated", "unchanged", "returned", "stale", "refused"]


@operation(
    "open_school",
    collection="school",
    key="school_id",
    state=School,
    result=SchoolOpened,
    events=("campus.school_opened",),
)
async def open_school(
    pack: Pack, context: Context, message: OpenSchool, school: School | None
) -> Plan:
    """Open a school, or change its accounts, officers and rules."""
    _check_school(message)
    before = School(
        school_id=message.school_id,
        accounts=message.accounts,
        officers=message.officers,
        zone=message.zone,
        remind_every_days=message.remind_every_days,
    )
    opened = before
    if school is not None:
        opened = replace(
            before, terms=school.terms, classes=school.classes, revision=school.revision
        )
    result = SchoolOpened(
        school_id=opened.school_id,
        accounts=opened.accounts,
        status="opened" if school is None else "unchanged" if school == opened else "updated",
    )
    notice = Notice(type="campus.school_opened", subject=opened.school_id, data=result)
    return Plan(
        state=opened, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


def _check_school(message: OpenSchool) -> None:
    accounts = message.accounts
    named = (accounts.supervised, accounts.clearing, accounts.subsidy_fund, accounts.power)
    if len(set(named)) < len(named):
        raise InvalidField(
            "two of the school's accounts are the same; fees, payments on their way, subsidies and "
            "power are kept apart",
            field="accounts",
        )
    ids = [one.officer_id for one in message.officers]
    if len(set(ids)) < len(ids):
        raise InvalidField("an officer stands there twice", field="officers")
    try:
        load_zone(message.zone)
    except ValueError as error:
        raise InvalidField(
            f"{error}; use a name of the IANA database such as 'Asia/Shanghai'", field="zone"
        ) from error


@operation(
    "import_roster",
    collection="school",
    key="school_id",
    state=School,
    result=RosterImported,
    errors=("not_found",),
    events=("campus.roster_imported",),
)
async def import_roster(
    pack: Pack, context: Context, message: ImportRoster, school: School | None
) -> Plan:
    """Take over a part of the roster: terms, classes, students with their guardians."""
    known = _known_school(school, message.school_id)
    terms = {one.term_id: one for one in known.terms}
    for number, term in enumerate(message.terms):
        if term.ends_at <= term.begins_at:
            raise InvalidField(
                f"term {term.term_id!r} ends at {term.ends_at.isoformat()}, before it begins",
                field=f"terms[{number}].ends_at",
            )
        terms[term.term_id] = term
    classes = {one.class_id: one for one in known.classes}
    classes |= {one.class_id: one for one in message.classes}
    _check_room("terms", len(terms), TERMS_MAX)
    _check_room("classes", len(classes), CLASSES_MAX)
    after = replace(
        known,
        terms=tuple(terms.values()),
        classes=tuple(classes.values()),
        revision=known.revision + 1,
    )
    accepted, refused = await _sort_rows(context, after, message.students)
    result = RosterImported(
        school_id=known.school_id,
        revision=after.revision,
        terms=len(message.terms),
        classes=len(message.classes),
        accepted=len(accepted),
        refused=refused,
    )
    return Plan(
        state=after,
        effects=tuple(Send(verb="enrol", body=_enrolment(row, after)) for row in accepted),
        result=result,
        notices=(Notice(type="campus.roster_imported", subject=known.school_id, data=result),),
    )


def _check_room(field: str, number: int, most: int) -> None:
    if number > most:
        raise InvalidField(
            f"the roster would have {number} {field}; at most {most} fit", field=field
        )


async def _sort_rows(
    context: Context, school: School, rows: tuple[StudentRow, ...]
) -> tuple[list[StudentRow], tuple[RowRefused, ...]]:
    accepted: list[StudentRow] = []
    refused: list[RowRefused] = []
    seen: set[str] = set()
    for number, row in enumerate(rows):
        guardians = [link.guardian_id for link in row.guardians]
        student = await context.read("student", row.student_id, Student)
        refusal = RowRefused(row=number, student_id=row.student_id, code="duplicate_row")
        if row.student_id in seen:
            refused.append(refusal)
        elif not school.has_class(row.class_id):
            refused.append(replace(refusal, code="unknown_class"))
        elif len(set(guardians)) < len(guardians):
            refused.append(replace(refusal, code="duplicate_guardian"))
        elif student is not None and _is_elsewhere(student, school.school_id):
            refused.append(replace(refusal, code="other_school"))
        else:
            accepted.append(row)
        seen.add(row.student_id)
    return accepted, tuple(refused)


def _enrolment(row: StudentRow, school: School) -> EnrolStudent:
    return EnrolStudent(
        request_id=SENT,
        student_id=row.student_id,
        school_id=school.school_id,
        class_id=row.class_id,
        name=row.name,
        guardians=row.guardians,
        revision=school.revision,
    )


def _is_elsewhere(student: Student, school_id: str) -> bool:
    return student.school_id != school_id and student.status == "active"


@operation(
    "enrol",
    collection="student",
    key="student_id",
    state=Student,
    result=StudentEnrolled,
    events=("campus.student_enrolled",),
    internal=True,
)
async def enrol(
    pack: Pack, context: Context, message: EnrolStudent, student: Student | None
) -> Plan:
    """Take over what the roster says of a student; sent by an import only."""
    fresh = Student(
        student_id=message.student_id,
        school_id=message.school_id,
        class_id=message.class_id,
        name=message.name,
        guardians=message.guardians,
        revision=message.revision,
    )
    if student is None:
        return _enrolled(fresh, "enrolled")
    if _is_elsewhere(student, message.school_id):
        return Plan(result=_entry(student, "refused"))
    # Numbers of parts are the school's own: those of another school say nothing.
    if student.school_id == message.school_id and message.revision <= student.revision:
        return Plan(result=_entry(student, "stale"))
    after = replace(
        student,
        school_id=fresh.school_id,
        class_id=fresh.class_id,
        name=fresh.name,
        guardians=fresh.guardians,
        revision=fresh.revision,
        status="active",
    )
    if student.status == "left":
        # Its old wallet was paid out and may be closed.
        return _enrolled(replace(after, wallet=None), "returned")
    if replace(after, revision=student.revision) == student:
        return Plan(state=after, result=_entry(after, "unchanged"))
    return _enrolled(after, "updated")


def _entry(student: Student, status: _Status) -> StudentEnrolled:
    return StudentEnrolled(
        student_id=student.student_id,
        school_id=student.school_id,
        class_id=student.class_id,
        revision=student.revision,
        status=status,
    )


def _enrolled(student: Student, status: _Status) -> Plan:
    result = _entry(student, status)
    notice = Notice(type="campus.student_enrolled", subject=student.student_id, data=result)
    return Plan(state=student, result=result, notices=(notice,))


@operation(
    "get_school",
    collection="school",
    key="school_id",
    state=School,
    result=SchoolView,
    mutates=False,
    errors=("not_found",),
)
async def get_school(
    pack: Pack, context: Context, message: GetSchool, school: School | None
) -> SchoolView:
    """Read a school: its accounts, officers, terms and classes."""
    known = _known_school(school, message.school_id)
    return SchoolView(
        school_id=known.school_id,
        accounts=known.accounts,
        officers=known.officers,
        zone=known.zone,
        remind_every_days=known.remind_every_days,
        terms=known.terms,
        classes=known.classes,
        revision=known.revision,
    )


@operation(
    "get_student",
    collection="student",
    key="student_id",
    state=Student,
    result=StudentView,
    mutates=False,
    errors=("not_found",),
)
async def get_student(
    pack: Pack, context: Context, message: GetStudent, student: Student | None
) -> StudentView:
    """Read a student: bills, debts, subsidies, the cap of the parents."""
    known = known_student(student, message.student_id)
    return StudentView(
        student_id=known.student_id,
        school_id=known.school_id,
        class_id=known.class_id,
        name=known.name,
        guardians=known.guardians,
        revision=known.revision,
        wallet=known.wallet,
        day_cap_minor=known.day_cap_minor,
        debts=known.debts,
        debts_minor=known.debts_minor,
        grants=known.grants,
        grants_minor=known.grants_minor,
        bills=known.bills,
        bills_minor=known.bills_minor,
        bills_ended=len(known.bills_ended),
        sales=len(known.charged),
        status=known.status,
    )


def _known_school(school: School | None, school_id: str) -> School:
    if school is None:
        raise NotFound(f"no school {school_id!r}; open it first", field="school_id")
    return school
