"""The digest that tells whether two requests with one id are the same request."""

from hashlib import blake2b

import msgspec

__all__ = ("request_digest",)


def request_digest(operation: str, body: bytes | msgspec.Raw) -> bytes:
    """Return 16 bytes over the operation and the canonical body.

    The body is the decoded request encoded again, so neither white space nor the order of fields in
    the caller's JSON matters.
    """
    digest = blake2b(operation.encode(), digest_size=16)
    digest.update(body)
    return digest.digest()
