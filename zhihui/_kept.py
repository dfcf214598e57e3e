"""What JetStream answers to a message that it is to keep."""

import msgspec

from schemas.errors import Internal, MessageTooLarge, NotReady

__all__ = ("check_kept",)

# JetStream's error for a message larger than its stream takes.
_TOO_LARGE = 10054


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Kept(msgspec.Struct, frozen=True):
    error: _Error | None = None


_decoder = msgspec.json.Decoder(_Kept)


def check_kept(answer: bytes) -> None:
    """Return when the message is kept, else raise what the answer says."""
    try:
        error = _decoder.decode(answer).error
    except msgspec.MsgspecError as nonsense:
        raise Internal(f"the answer is not that of a stream: {nonsense}") from nonsense
    if error is None:
        return
    if error.err_code == _TOO_LARGE:
        raise MessageTooLarge("the request is larger than the intake takes")
    raise NotReady(f"the intake does not take it now: {error.description}")
