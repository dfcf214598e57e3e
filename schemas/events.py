"""Events on the wire: CloudEvents 1.0 in structured JSON."""

from datetime import datetime
from typing import Literal

import msgspec

__all__ = ("EVENT_TYPE_PREFIX", "CloudEvent", "encode_cloud_event")

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
