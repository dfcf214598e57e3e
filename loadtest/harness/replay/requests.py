"""What of a recording is sent again: the requests of one app, each of them once."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from loadtest.harness.replay.recording import RecordingProblem, read_recording
from schemas.errors import UnknownOperation
from schemas.subjects import parse_request_subject

__all__ = ("Request", "apps_of", "requests_of", "the_app")

# Stands where the new id goes, and in no JSON text but escaped.
_HOLE = "\x00"
_ESCAPED_HOLE = "\\u0000"

_PAYMENT = "payment.create"


class Request(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request to be sent again: ``head`` + new request id + ``tail``.

    ``tail`` is None for what has no request id, a read. ``amount_minor`` is what a payment pays.
    """

    at_s: float
    service: str
    verb: str
    head: bytes
    tail: bytes | None
    amount_minor: int

    def body(self, request_id: str) -> bytes:
        """Return the body under a new id."""
        return self.head if self.tail is None else self.head + request_id.encode() + self.tail


def apps_of(path: Path) -> dict[str, int]:
    """Return how many requests of each app a recording has."""
    counts: dict[str, int] = {}
    for one in read_recording(path):
        app = _app_and_operation(one.subject)[0]
        if app:
            counts[app] = counts.get(app, 0) + 1
    return counts


def requests_of(path: Path, app: str) -> Iterator[Request]:
    """Yield the requests of an app in order.

    One that came again under its id, a retry, is left out: the run that replays makes retries of
    its own. So is what is no request of the service, or whose body is no JSON object.
    """
    seen: set[str] = set()
    for one in read_recording(path):
        sender, operation = _app_and_operation(one.subject)
        if sender != app:
            continue
        try:
            body = msgspec.json.decode(one.body or "{}")
        except msgspec.MsgspecError:
            continue
        if not isinstance(body, dict):
            continue
        request_id = body.get("request_id")
        if isinstance(request_id, str):
            if request_id in seen:
                continue
            seen.add(request_id)
        yield _request(one.at_s, operation, body, one.body)


def _request(at_s: float, operation: str, body: dict[str, object], text: str) -> Request:
    service, _, verb = operation.partition(".")
    if not isinstance(body.get("request_id"), str):
        return Request(at_s, service, verb, text.encode(), None, 0)
    amount = body.get("amount_minor") if operation == _PAYMENT else 0
    # At the end, so that no hole of the caller's own comes before it.
    del body["request_id"]
    whole = msgspec.json.encode({**body, "request_id": _HOLE}).decode()
    head, _, tail = whole.rpartition(_ESCAPED_HOLE)
    return Request(
        at_s,
        service,
        verb,
        head.encode(),
        tail.encode(),
        amount if isinstance(amount, int) else 0,
    )


def _app_and_operation(subject: str) -> tuple[str, str]:
    try:
        parsed = parse_request_subject(subject)
    except UnknownOperation:
        return "", ""
    return parsed.app, parsed.operation


def the_app(path: Path, wanted: str) -> str:
    """Return the app to replay; raise :class:`RecordingProblem` when it is not clear which."""
    counts = apps_of(path)
    known = ", ".join(f"{name} ({count:,} requests)" for name, count in sorted(counts.items()))
    if wanted and wanted not in counts:
        raise RecordingProblem(f"{path} has no request of {wanted!r}; it has: {known or 'none'}")
    if not counts:
        raise RecordingProblem(f"{path} has no request in it")
    if not wanted and len(counts) > 1:
        raise RecordingProblem(f"{path} has requests of several apps, name one: {known}")
    return wanted or next(iter(counts))
