"""Remembers what requests were answered, for the same request must be answered the same."""

from hashlib import blake2b
from typing import Literal

__all__ = ("Answers", "Repetition")

Repetition = Literal["first", "same", "different"]

_HAS_REQUEST_ID = b'"request_id"'
# Digests instead of a day's messages and answers: of 16 bytes, no two of a million are the same.
_DIGEST_BYTES = 16


class Answers:
    """The answers of one day that took effect.

    What was refused before the books may be tried again under the same request id, and so may have
    another answer the next time; one that took effect stands for ever.
    """

    def __init__(self) -> None:
        self._stand: dict[bytes, bytes] = {}

    def note(self, subject: str, payload: bytes, answer: bytes, *, ok: bool) -> Repetition:
        """Note an answer, and tell how it is to the first one of the same bytes."""
        if _HAS_REQUEST_ID not in payload:
            return "first"
        request = _digest(subject.encode() + b"\n" + payload)
        stands = self._stand.get(request)
        if stands is not None:
            return "same" if stands == _digest(answer) else "different"
        if ok:
            self._stand[request] = _digest(answer)
        return "first"


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=_DIGEST_BYTES).digest()
