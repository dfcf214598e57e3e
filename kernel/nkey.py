"""The keys that NATS knows its users by: Ed25519 in the text form of NATS.

A seed is secret and begins with ``SU``; the public key begins with ``U``. Both are base32 of a
prefix, 32 bytes and a CRC-16, so a slip of the hand is told from a wrong key. The cipher is the
library's; only the text form is written here.
"""

import base64
import binascii
import re
from typing import Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

__all__ = ("Nkey", "is_public_key")

# Each prefix makes a letter of the text: S for a seed, then U for a user, U for a user's public
# key. In a seed the second prefix is spread over two bytes.
_SEED_PREFIX = 18 << 3
_USER_PREFIX = 20 << 3
_SEED_HEAD = bytes((_SEED_PREFIX | _USER_PREFIX >> 5, (_USER_PREFIX & 31) << 3))
_PUBLIC_HEAD = bytes((_USER_PREFIX,))

_RAW_BYTES = 32
_CHECK_BYTES = 2

_SEED = re.compile(r"\s*(SU[A-Z2-7]{56})\s*")
_PUBLIC = re.compile(r"U[A-Z2-7]{55}")


class Nkey:
    """A user's key. Its representation never shows the secret half."""

    __slots__ = ("_private",)

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's own randomness, which is the only right one for keys."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, text: str) -> Self:
        """Read a seed; raise :class:`ValueError`, which does not quote it, when it is none."""
        found = _SEED.fullmatch(text)
        raw = _decoded(found[1], _SEED_HEAD) if found else None
        if raw is None:
            raise ValueError(
                "this is not the seed of a user's nkey: 58 letters and digits that begin with SU"
            )
        return cls(Ed25519PrivateKey.from_private_bytes(raw))

    @property
    def seed(self) -> str:
        """Return the secret half as text."""
        raw = self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return _encoded(_SEED_HEAD + raw)

    @property
    def public_key(self) -> str:
        """Return the public half as text; NATS names the user by it."""
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return _encoded(_PUBLIC_HEAD + raw)

    def sign(self, data: bytes) -> bytes:
        """Return the signature of ``data``, 64 bytes."""
        return self._private.sign(data)

    def __repr__(self) -> str:
        return f"<Nkey {self.public_key}>"


def is_public_key(text: str) -> bool:
    """Tell whether ``text`` is a user's public key without a slip in it."""
    return _PUBLIC.fullmatch(text) is not None and _decoded(text, _PUBLIC_HEAD) is not None


def _encoded(data: bytes) -> str:
    check = binascii.crc_hqx(data, 0).to_bytes(_CHECK_BYTES, "little")
    return base64.b32encode(data + check).decode().rstrip("=")


def _decoded(text: str, head: bytes) -> bytes | None:
    """Return the 32 bytes behind ``head``, or None when prefix, length or check are wrong."""
    content = base64.b32decode(text + "=" * (-len(text) % 8))[:-_CHECK_BYTES]
    if not content.startswith(head) or len(content) != len(head) + _RAW_BYTES:
        return None
    # Compared as text, because the last letter has bits that no byte holds.
    return content[len(head) :] if _encoded(content) == text else None
