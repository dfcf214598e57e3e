"""Events on the wire: CloudEvents 1.0 in structured JSON."""

from datetime import datetime
from typing import Literal

import msgspec

from schemas.subjects import EVENT_STREAM

__all__ = ("EVENT_TYPE_PREFIX", "CloudEvent", "encode_cloud_event", "event_id", "event_number")

# The service's own event type is `<entity>.<event>`; outside it stands among those of others.
EVENT_TYPE_PREFIX = "zhihui."


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the service.

    ``id`` is unique within ``source``, which is ``/zhihui/<app>``: a consumer that saw the pair
    before may drop the event. ``type`` is ``zhihui.<entity>.<event>``, ``subject`` the entity's id
    and ``data`` the struct of that type.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    data: msgspec.Raw


_encoder = msgspec.json.Encoder()


def event_id(number: int) -> str:
    """Return the id of an event; the number is that of the outbox, in the order of commits."""
    return f"{EVENT_STREAM}-{number}"


def event_number(event_id: str) -> int | None:
    """Return the number behind an id of :func:`event_id`, or None when it is another's."""
    stream, _, digits = event_id.rpartition("-")
    # At most 19 digits: numbers have 64 bits.
    if stream != EVENT_STREAM or not digits.isdecimal() or len(digits) > 19:
        return None
    return int(digits)


def encode_cloud_event(
    *, event_id: str, source: str, event_type: str, subject: str, time: datetime, data_json: str
) -> bytes:
    """Return the event's bytes; ``data_json`` is finished JSON and is put in as it stands.

    ``time`` must be aware; a naive one raises :class:`ValueError`, since CloudEvents has no such
    thing.
    """
    if time.tzinfo is None:
        raise ValueError("the time of an event must carry a zone")
    return _encoder.encode(
        CloudEvent(
            id=event_id,
            source=source,
            type=event_type,
            subject=subject,
            time=time,
            data=msgspec.Raw(data_json.encode()),
        )
    )
