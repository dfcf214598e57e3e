"""The shapes of identifiers and free text in public messages."""

from datetime import datetime
from typing import Annotated

from msgspec import Meta

__all__ = ("APP_PATTERN", "AccountId", "Identifier", "RequestId", "ShortText", "Timestamp")

# One token of a NATS subject: no dots, blanks or wildcards, so it can never widen a subject.
APP_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,31}(?!\n)$"

# `$` alone would let a trailing line feed pass, which Python's regular expressions allow.
_IDENTIFIER_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]*(?!\n)$"

Identifier = Annotated[str, Meta(min_length=1, max_length=64, pattern=_IDENTIFIER_PATTERN)]

AccountId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=_IDENTIFIER_PATTERN,
        description="Identifier of an account, as `account.open` returned it.",
    ),
]

RequestId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=_IDENTIFIER_PATTERN,
        description="Chosen by the caller, unique within its app. The same id with the same "
        "body is answered with the first answer; with another body it is a conflict.",
    ),
]

# Free text for people. Control characters are refused: Postgres cannot store U+0000 and the
# others only serve to forge log lines.
ShortText = Annotated[str, Meta(max_length=140, pattern="^[^\\x00-\\x1f\\x7f]*(?!\n)$")]

Timestamp = Annotated[datetime, Meta(tz=True, description="RFC 3339 time with an offset.")]
