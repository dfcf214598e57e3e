"""What nodes send each other: frames of envelopes and replies, in msgpack.

A frame is one NATS message. Everything is an array, so a field may only be added at the end,
with a default; the golden bytes under ``tests/unit/golden`` hold this.
"""

import msgspec

__all__ = (
    "FRAME_VERSION",
    "REPLAYED",
    "Envelope",
    "Frame",
    "Reply",
    "decode_frame",
    "encode_frame",
)

FRAME_VERSION = 1

# What a reply says about a durable change, in `Reply.note`.
REPLAYED = -1


class Envelope(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One message to the actor ``(kind, key)``.

    ``deadline_ms`` is absolute, Unix milliseconds. ``reply_to`` is the node that waits for the
    answer under ``reply_id``; empty for a tell. ``body`` is msgpack of the struct that the
    receiving actor registered for ``type``.
    """

    kind: str
    key: str
    type: str
    app: str
    deadline_ms: int
    reply_to: str
    reply_id: int
    body: msgspec.Raw
    attempt: int = 1


class Reply(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer to one envelope.

    ``body`` is msgpack: of the result when ``ok`` (a binary holds finished JSON), else of an
    :class:`~schemas.errors.ErrorBody`. ``note`` is the index of the alternative that a durable
    change committed, or −1 when the answer was remembered from an earlier request.
    """

    reply_id: int
    ok: bool
    body: msgspec.Raw
    note: int = 0


class Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One NATS message between nodes."""

    version: int
    sender: str
    envelopes: list[Envelope]
    replies: list[Reply]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """Return the frame's bytes."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> Frame:
    """Return the frame; raise :class:`msgspec.MsgspecError` when the bytes are not one."""
    return _decoder.decode(data)
