"""Requests that a stream keeps: their subjects, the events that answer them, and dead letters."""

from typing import Any

import msgspec

from schemas.errors import ErrorBody
from schemas.subjects import DEAD_LETTER_SUBJECTS, INTAKE_SUBJECTS, REQUEST_SUBJECTS

__all__ = (
    "CODE_HEADER",
    "DELIVERIES_HEADER",
    "MESSAGE_ID_HEADER",
    "PUBLISHED_AT_HEADER",
    "REASON_HEADER",
    "REQUEST_EVENTS",
    "REQUEST_REJECTED",
    "REQUEST_SUCCEEDED",
    "RETRY_HEADER",
    "SUBJECT_HEADER",
    "RequestRejected",
    "RequestSucceeded",
    "asked_subject",
    "dead_letter_subject",
    "intake_subject",
)

REQUEST_SUCCEEDED = "request.succeeded"
REQUEST_REJECTED = "request.rejected"

# What a dead letter says about the message that it holds.
CODE_HEADER = "Zh-Code"
REASON_HEADER = "Zh-Reason"
DELIVERIES_HEADER = "Zh-Deliveries"
SUBJECT_HEADER = "Zh-Subject"
MESSAGE_ID_HEADER = "Zh-Message-Id"
PUBLISHED_AT_HEADER = "Zh-Published-At"
# On a message that is published once more by an operator: its answer may differ from the first.
RETRY_HEADER = "Zh-Retry"

_INTAKE = INTAKE_SUBJECTS.removesuffix(">")
_ASKED = REQUEST_SUBJECTS.removesuffix(">")
_DEAD = DEAD_LETTER_SUBJECTS.removesuffix(">")


class RequestSucceeded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a published request: ``result`` is what a reply would have held."""

    request_id: str
    operation: str
    result: Any


class RequestRejected(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a published request that was refused."""

    request_id: str
    operation: str
    error: ErrorBody


# Type → the structs that its `data` may be. Any operation that changes something may be published,
# so these belong to none of them alone.
REQUEST_EVENTS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    REQUEST_REJECTED: (RequestRejected,),
    REQUEST_SUCCEEDED: (RequestSucceeded,),
}


def intake_subject(app: str, service: str, verb: str) -> str:
    """Return the subject on which a request is kept until it is done."""
    return f"{_INTAKE}{app}.{service}.{verb}"


def asked_subject(subject: str) -> str:
    """Return the subject on which what was published to ``subject`` would have been asked."""
    return _ASKED + subject.removeprefix(_INTAKE)


def dead_letter_subject(subject: str) -> str:
    """Return the subject of the dead letter of what was published to ``subject``."""
    return _DEAD + subject.removeprefix(_INTAKE)
