"""Golden bytes of every version of every wire format: what was written once must stay readable.

The files under ``golden/`` are never changed. A new version gets files of its own; a format that
grew by a field at its end, as from ``v1`` to ``v1.1``, still reads the old ones, which are then
compared decoded.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.change import Alternative, Change, Event, Fact, LinkedChanges, Timer, TimerFired
from schemas.envelope import (
    FRAME_VERSION,
    REPLAYED,
    Envelope,
    Frame,
    Reply,
    decode_frame,
    encode_frame,
)
from schemas.errors import Busy, ErrorBody, InsufficientFunds
from schemas.events import CloudEvent, encode_cloud_event
from schemas.ledger import (
    AccountLimits,
    BoundsStep,
    CaptureStep,
    LimitsStep,
    Moves,
    NewAccount,
    PlaceStep,
    Posting,
    ReleaseStep,
    StatusStep,
    TallyStep,
    TransferStep,
    encode_moves,
)
from schemas.payments import Payment
from schemas.reply import PublicReply, encode_error, encode_result

_GOLDEN = Path(__file__).parent / "golden"
_TIME = datetime(2026, 11, 23, 8, 30, 15, 123456, tzinfo=UTC)


def _golden(file: str) -> msgspec.Raw:
    return msgspec.Raw((_GOLDEN / file).read_bytes())


_PAYMENT = Payment(
    payment_id="pay-1",
    request_id="request-1",
    method="quick",
    status="succeeded",
    payer="anna",
    payee="mall",
    amount_minor=1250,
    currency="CNY",
    reference="早餐",
    created_at=_TIME,
)
_PAYMENT_JSON = msgspec.json.encode(_PAYMENT)

_MOVES = Moves(
    open=(NewAccount("anna", "shop", "CNY", 0, None),),
    postings=(
        Posting("anna", "mall", 1250, "CNY", "shop"),
        Posting("external:cash", "anna", 10**13, "CNY"),
    ),
)

# What v1.1 added: steps, timers and chains.
_STEPS = Moves(
    steps=(
        PlaceStep("hold-1", "anna", 500, "CNY", _TIME, "shop", "mall", "hold", True, "押金", _TIME),
        CaptureStep("hold-1", 200, "mall", True, False, "shop", "hold", "part"),
        CaptureStep("hold-1", owner="shop"),
        ReleaseStep("hold-1", "expired", "shop", "", "rest", "hold_id"),
        TransferStep("anna", "mall", 2**62, "CNY", 5, 0, "shop", "shop", "sweep", ("from", "to")),
        StatusStep("anna", "closed", "shop", "account_id"),
    )
)
# What v1.2 added: limits, tallies, other bounds, and events for another app.
_LIMITED = Moves(
    open=(NewAccount("lily", "shop", "CNY", 0, 200_000, AccountLimits(1, 2, 3, None, "anna")),),
    postings=(Posting("anna", "lily", 1250, "CNY", "shop", exempt=True),),
    steps=(
        TallyStep("qr:lily:2026-11-25", 1, 1250, 10, 50_000, ("qr:lily:2026-11-24",)),
        TallyStep(
            "mandate-1", -1, -5, closes=True, opens=True, code="invalid_state", message="revoked",
            field="mandate_id", name="mandate",
        ),
        BoundsStep("lily", -5_000, None, "shop", "line_id"),
        LimitsStep("lily", AccountLimits(exempt="anna"), "shop", "account_id"),
        TransferStep("anna", "lily", 5, "CNY", exempt=True),
    ),
)  # fmt: skip
_TIMER = Timer(
    "hold.hold-1", 1_795_422_615_123, "hold", "hold-1", "hold.expire", "shop",
    msgspec.Raw(b"\xc0"), 86_400,
)  # fmt: skip
_LINKED = LinkedChanges(
    (
        Change(
            app="shop",
            request_id="request-2",
            operation="hold.place",
            digest=bytes(range(16)),
            alternatives=(
                Alternative(_golden("moves.v1.1.bin"), (), (), "{}", (_TIMER,), ("hold.hold-0",)),
            ),
        ),
    )
)

_CHANGE = Change(
    app="shop",
    request_id="request-1",
    operation="payment.create",
    digest=bytes(range(16)),
    alternatives=(
        Alternative(
            moves=_golden("moves.v1.bin"),
            facts=(Fact("payment", ("pay-1", "anna", 1250, None, -1, 1.5, "早餐")),),
            events=(Event("payment.succeeded", "pay-1", _PAYMENT_JSON.decode()),),
            answer=_PAYMENT_JSON.decode(),
        ),
        Alternative(msgspec.Raw(b"\x92\x90\x90"), (), (), "{}"),
    ),
    rejection=InsufficientFunds("anna has 12.00", field="payer").body(),
    partition=63,
    epoch=2**40,
)

# What v1.2 added: rows of a change that is refused.
_REFUSED = Change(
    app="shop",
    request_id="request-3",
    operation="payment.create",
    digest=bytes(range(16)),
    alternatives=(),
    rejection=InsufficientFunds("too risky").body(),
    refused=(Fact("risk_hit", ("R7", 1)),),
)

_FRAME = Frame(
    FRAME_VERSION,
    "node-a",
    [
        Envelope(
            kind="journal",
            key="0",
            type="Change",
            app="shop",
            deadline_ms=1_795_422_615_123,
            reply_to="node-b",
            reply_id=2**33,
            body=_golden("change.v1.bin"),
            attempt=2,
        ),
        Envelope("vehicle", "粤B12345", "EnterLot", "parking", 0, "", 0, msgspec.Raw(b"\xc0")),
    ],
    [
        Reply(7, ok=True, body=msgspec.Raw(msgspec.msgpack.encode(_PAYMENT_JSON)), note=1),
        Reply(8, ok=True, body=msgspec.Raw(b"\xc4\x02{}"), note=REPLAYED),
        Reply(9, ok=False, body=msgspec.Raw(msgspec.msgpack.encode(Busy("full").body()))),
    ],
)

_EVENT = CloudEvent(
    id="ZHIHUI_EVENTS-7",
    source="/zhihui/shop",
    type="zhihui.payment.succeeded",
    subject="pay-1",
    time=_TIME,
    data=msgspec.Raw(_PAYMENT_JSON),
)


class Golden(msgspec.Struct, frozen=True, kw_only=True):
    """One wire format: a value, how it is encoded, and how its bytes are read."""

    file: str
    value: Any
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    # What a later version writes longer is only read.
    written: bool = True


_FORMATS = (
    Golden(file="frame.v1.bin", value=_FRAME, encode=encode_frame, decode=decode_frame),
    Golden(
        file="change.v1.bin",
        value=_CHANGE,
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(Change).decode,
        written=False,
    ),
    Golden(
        file="linked_changes.v1.1.bin",
        value=_LINKED,
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(LinkedChanges).decode,
        written=False,
    ),
    Golden(
        file="change.v1.2.bin",
        value=_REFUSED,
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(Change).decode,
    ),
    Golden(
        file="timer_fired.v1.1.bin",
        value=TimerFired("hold.hold-1", 1_795_422_615_123, 2, msgspec.Raw(b"\xc0")),
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(TimerFired).decode,
    ),
    Golden(
        file="moves.v1.bin",
        value=_MOVES,
        encode=lambda moves: bytes(encode_moves(moves)),
        decode=msgspec.msgpack.Decoder(Moves).decode,
        written=False,
    ),
    Golden(
        file="moves.v1.1.bin",
        value=_STEPS,
        encode=lambda moves: bytes(encode_moves(moves)),
        decode=msgspec.msgpack.Decoder(Moves).decode,
        written=False,
    ),
    Golden(
        file="moves.v1.2.bin",
        value=_LIMITED,
        encode=lambda moves: bytes(encode_moves(moves)),
        decode=msgspec.msgpack.Decoder(Moves).decode,
    ),
    Golden(
        file="event_for_app.v1.2.bin",
        value=Event("rules.put", "risk", "{}", "shop"),
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(Event).decode,
    ),
    Golden(
        file="error_body.v1.bin",
        value=Busy("the queue is full", retry_after_s=0.25).body(),
        encode=msgspec.msgpack.encode,
        decode=msgspec.msgpack.Decoder(ErrorBody).decode,
    ),
    Golden(
        file="reply_result.v1.json",
        value=PublicReply(ok=True, result=msgspec.to_builtins(_PAYMENT)),
        encode=lambda reply: encode_result(msgspec.json.encode(reply.result)),
        decode=msgspec.json.Decoder(PublicReply).decode,
    ),
    Golden(
        file="reply_error.v1.json",
        value=PublicReply(ok=False, error=InsufficientFunds("too little", field="payer").body()),
        encode=lambda reply: encode_error(reply.error),
        decode=msgspec.json.Decoder(PublicReply).decode,
    ),
    Golden(
        file="event.v1.json",
        value=_EVENT,
        encode=lambda event: encode_cloud_event(
            event_id=event.id,
            source=event.source,
            event_type=event.type,
            subject=event.subject,
            time=event.time,
            data_json=bytes(event.data).decode(),
        ),
        decode=msgspec.json.Decoder(CloudEvent).decode,
    ),
)


@pytest.mark.parametrize("golden", _FORMATS, ids=lambda golden: golden.file)
def test_golden_bytes_are_read(golden: Golden) -> None:
    """Bytes written by version 1 decode to the same structs today."""
    assert golden.decode((_GOLDEN / golden.file).read_bytes()) == golden.value


@pytest.mark.parametrize(
    "golden", [one for one in _FORMATS if one.written], ids=lambda golden: golden.file
)
def test_golden_bytes_are_written(golden: Golden) -> None:
    """The same structs encode to the same bytes."""
    assert golden.encode(golden.value) == (_GOLDEN / golden.file).read_bytes()


def test_every_golden_file_is_used() -> None:
    """No file under ``golden`` is without its test."""
    used = {golden.file for golden in _FORMATS}
    assert {path.name for path in _GOLDEN.iterdir()} == used


def test_a_change_travels_inside_a_frame() -> None:
    """The body of an envelope is the struct's own bytes, readable without a copy of the frame."""
    frame = decode_frame((_GOLDEN / "frame.v1.bin").read_bytes())
    assert msgspec.msgpack.decode(frame.envelopes[0].body, type=Change) == _CHANGE
    moves = msgspec.msgpack.decode(_CHANGE.alternatives[0].moves, type=Moves)
    assert moves == _MOVES


def test_a_newer_sender_is_understood() -> None:
    """A field that a later version adds at the end of an envelope is skipped by this one."""
    (version, sender, envelopes, replies) = msgspec.msgpack.decode(encode_frame(_FRAME))
    longer = [[*envelope, "new"] for envelope in envelopes]
    read = decode_frame(msgspec.msgpack.encode([version, sender, longer, replies, "new"]))
    assert [envelope.key for envelope in read.envelopes] == ["0", "粤B12345"]
    assert [envelope.attempt for envelope in read.envelopes] == [2, 1]


def test_an_older_sender_is_understood() -> None:
    """Fields with a default may be missing at the end: an older version did not send them."""
    (version, sender, envelopes, replies) = msgspec.msgpack.decode(encode_frame(_FRAME))
    shorter = [envelope[:8] for envelope in envelopes]
    read = decode_frame(
        msgspec.msgpack.encode([version, sender, shorter, [reply[:3] for reply in replies]])
    )
    assert [envelope.attempt for envelope in read.envelopes] == [1, 1]
    assert [reply.note for reply in read.replies] == [0, 0, 0]


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01", b"{}", b"\x94\x01\xa1n\x90\xc0"])
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    """Anything but a frame is one error of msgspec, never another exception."""
    with pytest.raises(msgspec.MsgspecError):
        decode_frame(data)
