"""Finding what a message names, or the rejection that says that it is not there."""

from typing import Literal

from zhihui.plugin import Context, InvalidState, NotFound

from .school import Guardian, School
from .student import Student

__all__ = (
    "active_student",
    "check_officer",
    "guardian_account",
    "known_student",
    "read_school",
    "wallet_of",
)


def known_student(student: Student | None, student_id: str) -> Student:
    """Return the student; raise :class:`NotFound` when the roster never named it."""
    if student is None:
        raise NotFound(
            f"student {student_id!r} is not known; import the roster first", field="student_id"
        )
    return student


def active_student(student: Student | None, student_id: str) -> Student:
    """Return a student who has not left."""
    known = known_student(student, student_id)
    if known.status == "left":
        raise InvalidState(f"student {student_id!r} has left", field="student_id")
    return known


def wallet_of(student: Student) -> str:
    """Return the account of the student's wallet."""
    if student.wallet is None:
        raise InvalidState(
            f"student {student.student_id!r} has no wallet; bind one first", field="student_id"
        )
    return student.wallet


async def read_school(context: Context, school_id: str) -> School:
    """Return a school as it was a second ago at most."""
    school = await context.read("school", school_id, School)
    if school is None:
        raise NotFound(f"no school {school_id!r}; open it first", field="school_id")
    return school


async def guardian_account(context: Context, student: Student, guardian_id: str) -> str:
    """Return the account of a guardian of this student.

    Somebody else's guardian is answered like one that does not exist.
    """
    guardian = None
    if student.has_guardian(guardian_id):
        guardian = await context.read("guardian", guardian_id, Guardian)
    if guardian is None:
        raise NotFound(
            f"student {student.student_id!r} has no guardian {guardian_id!r} with an account; the "
            "roster names guardians, and bind_guardian their accounts",
            field="guardian_id",
        )
    return guardian.account_id


def check_officer(school: School, officer_id: str, may: Literal["request", "approve"]) -> None:
    """Raise :class:`NotFound` unless an officer of the school may do this."""
    officer = school.officer(officer_id)
    allowed = officer is not None and (
        officer.may_request if may == "request" else officer.may_approve
    )
    if not allowed:
        raise NotFound(
            f"{officer_id!r} is no officer of {school.school_id!r} who may {may}",
            field="officer_id",
        )
