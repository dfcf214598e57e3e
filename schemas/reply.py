"""The JSON reply of every public operation."""

from typing import Any

import msgspec

from schemas.errors import ErrorBody, ZhihuiError

__all__ = ("PublicReply", "encode_error", "encode_result")

_json = msgspec.json.Encoder()


class PublicReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """``{"ok":true,"result":{…}}`` or ``{"ok":false,"error":{…}}``."""

    ok: bool
    result: Any = None
    error: ErrorBody | None = None


def encode_result(result_json: bytes) -> bytes:
    """Return the reply for a finished JSON result."""
    return b'{"ok":true,"result":' + result_json + b"}"


def encode_error(error: ZhihuiError | ErrorBody) -> bytes:
    """Return the reply for an error."""
    body = error.body() if isinstance(error, ZhihuiError) else error
    return b'{"ok":false,"error":' + _json.encode(body) + b"}"
