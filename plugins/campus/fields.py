"""The shapes of fields that many messages of the campus share."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.identifiers import Identifier

__all__ = (
    "BILL_MINOR_MAX",
    "PURCHASE_MINOR_MAX",
    "ROWS_MAX",
    "SENT",
    "TOP_UP_MINOR_MAX",
    "BillKind",
    "BillMinor",
    "Category",
    "GuardianId",
    "Instant",
    "Name",
    "OfficerId",
    "Reason",
    "RowRefused",
    "SchoolId",
    "Sequence",
    "StudentId",
    "TermId",
    "TerminalId",
)

# ¥1,000 at a till: a class banquet, not a meal. A wallet holds ¥2,000 at most.
PURCHASE_MINOR_MAX = 100_000
# ¥2,000, which is all that a class III account may hold (银发〔2018〕16).
TOP_UP_MINOR_MAX = 200_000
# ¥100,000: more than a year of the dearest school that bills through a bank.
BILL_MINOR_MAX = 10_000_000
# Rows of a file that go in one message. Each becomes a message to a student of its own, and what
# one change may send is bounded; longer files go in parts.
ROWS_MAX = 50

# What stands as the request id in a message from one identity of the pack to another: the host
# puts its own in its place, which is the same however often it delivers.
SENT = "sent"

StudentId = Annotated[Identifier, Meta(description="Number of the student (学号).")]
GuardianId = Annotated[
    Identifier, Meta(description="Who pays for a student: a parent, or the student in person.")
]
SchoolId = Annotated[Identifier, Meta(description="The school, as `open_school` named it.")]
TermId = Annotated[Identifier, Meta(description="A term (学期) of the school's roster.")]
OfficerId = Annotated[Identifier, Meta(description="An officer of the school's finance.")]
TerminalId = Annotated[Identifier, Meta(description="A till: of a canteen, or of a shop.")]

# A terminal counts its sales from 1; at one a second it takes 136 years to get there.
Sequence = Annotated[int, Meta(ge=1, le=2**32, description="Number of the sale at its terminal.")]

BillMinor = Annotated[int, Meta(ge=1, le=BILL_MINOR_MAX, description="Minor units (fen).")]
BillKind = Literal["tuition", "board", "books", "insurance", "other"]
Category = Literal["canteen", "shop"]

# Control characters are refused, as in all texts of the service.
Name = Annotated[str, Meta(min_length=1, max_length=40, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]
Reason = Annotated[str, Meta(min_length=1, max_length=140, pattern="^[^\\x00-\\x1f\\x7f]*(?!\\n)$")]

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 time with an offset.")]


class RowRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A row of a file that was left out; ``row`` counts from 0. The other rows stand."""

    row: int
    student_id: str
    code: Literal[
        "unknown_class",
        "unknown_student",
        "duplicate_row",
        "duplicate_guardian",
        "other_school",
        "has_left",
    ]
