"""The readers of the edges alone, without what stands behind them."""

from collections.abc import Callable

import msgspec

from kernel.edge import EdgeLimits
from kernel.plugins.archive import read_archive
from kernel.plugins.manifest import read_manifest
from kernel.plugins.signature import decode_signature
from kernel.requests import Endpoint, read_request
from schemas.catalogue import BANK_OPERATIONS
from schemas.envelope import decode_frame
from schemas.errors import ERRORS, InvalidField, ZhihuiError

__all__ = ("READERS", "check")

_ENDPOINTS = tuple(map(Endpoint, BANK_OPERATIONS))


def _read_frame(data: bytes) -> object:
    try:
        return decode_frame(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # As the node counts it.
        raise InvalidField(str(error)) from error


def _read_request(data: bytes) -> object:
    """Read the body as that of the operation that the first byte chooses."""
    endpoint = _ENDPOINTS[data[0] % len(_ENDPOINTS)] if data else _ENDPOINTS[0]
    return read_request(endpoint, data[1 : EdgeLimits().body_bytes_max])


READERS: dict[str, Callable[[bytes], object]] = {
    "edge": _read_request,
    "frame": _read_frame,
    "manifest": read_manifest,
    "archive": read_archive,
    "signature": decode_signature,
}


def check(name: str, data: bytes) -> None:
    """Read it; raise what is not an answer of the error table."""
    code = ""
    try:
        READERS[name](data)
    except ZhihuiError as error:
        code = error.code
    assert not code or (code in ERRORS and code != "internal"), code
