"""Events as CloudEvents."""

import json
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import CloudEvent, encode_cloud_event

_text = st.text(max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=8,
)


@given(
    event_id=_text,
    source=_text,
    event_type=_text,
    subject=_text,
    time=st.datetimes(timezones=st.just(UTC)),
    data=_json,
)
def test_the_event_is_what_the_struct_encodes_to(
    event_id: str, source: str, event_type: str, subject: str, time: datetime, data: object
) -> None:
    """Splicing in finished JSON gives the bytes of encoding the whole event at once."""
    encoded = encode_cloud_event(
        event_id=event_id,
        source=source,
        event_type=event_type,
        subject=subject,
        time=time,
        data_json=msgspec.json.encode(data).decode(),
    )
    whole = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": event_type,
        "subject": subject,
        "time": time,
        "datacontenttype": "application/json",
        "data": data,
    }
    assert encoded == msgspec.json.encode(whole)
    event = msgspec.json.decode(encoded, type=CloudEvent)
    assert (event.id, event.subject, event.time) == (event_id, subject, time)
    assert msgspec.json.decode(event.data) == data


def test_the_data_is_put_in_as_it_stands() -> None:
    """Amounts beyond a float's precision and the order of fields survive: data is not read."""
    data = '{"z": 9007199254740993, "a": 1.10}'
    encoded = encode_cloud_event(
        event_id="1",
        source="/zhihui/shop",
        event_type="zhihui.payment.succeeded",
        subject="pay-1",
        time=datetime(2026, 11, 23, tzinfo=UTC),
        data_json=data,
    )
    assert encoded.endswith(b'"data":' + data.encode() + b"}")


def test_the_time_is_rfc_3339() -> None:
    """The time carries its zone, whichever it is, in the form of RFC 3339."""
    for zone, written in ((UTC, "Z"), (timezone(timedelta(hours=8)), "+08:00")):
        encoded = encode_cloud_event(
            event_id="1",
            source="/zhihui/shop",
            event_type="zhihui.payment.succeeded",
            subject="pay-1",
            time=datetime(2026, 11, 23, 8, 30, tzinfo=zone),
            data_json="null",
        )
        assert json.loads(encoded)["time"] == f"2026-11-23T08:30:00{written}"


def test_a_time_without_a_zone_is_refused() -> None:
    """CloudEvents knows no local time, so a naive one is an error and not a guess."""
    with pytest.raises(ValueError, match="must carry a zone"):
        encode_cloud_event(
            event_id="1",
            source="/zhihui/shop",
            event_type="zhihui.payment.succeeded",
            subject="pay-1",
            time=datetime(2026, 11, 23),  # noqa: DTZ001 - that is the case under test
            data_json="null",
        )
