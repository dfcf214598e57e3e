"""Data of persons at rest: encrypted with AES-GCM, found again by keyed hash (R3).

What is sealed reads ``zs1.<key id>.<nonce and ciphertext, base64url>``. It is bound by GCM's
associated data to its place, the table and column `personal_data`, the owner of the row and the
name of the field; so a value that was copied to another row, or from a name to a number, does not
open. Nonces are 96 random bits; under one key that is safe for 2**32 values (NIST SP 800-38D, 8.3),
a few each for every person alive in a large country, so a rotation a year is plenty.

Equal values are found by HMAC-SHA256 under the *index key*, which is not rotated: rows refer to
each other by ids made with it, a keyed hash cannot be turned into that of another key without the
plain value, and it protects less: who has it can test guesses against what is stored, and can open
nothing. The field's name is hashed with the value, so the hash of a phone number is not that of the
same digits as a card.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable
from hashlib import blake2b, sha256

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from actors.customers.keyring import Keyring
from kernel.randomness import Randomness

__all__ = ("SEALED_PREFIX", "KeyMissing", "SealBroken", "Vault", "VaultStatistics", "sealed_under")

SEALED_PREFIX = "zs1"

_NONCE_BYTES = 12
_ID_DIGITS = 27
_TABLE = "personal_data"


class SealBroken(Exception):
    """What is stored does not open: it was changed, or stood elsewhere.

    The message says where it stands and never what it holds.
    """


class KeyMissing(SealBroken):
    """The key that opens it is not in the ring; it may be brought back."""


class VaultStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start."""

    sealed: int
    opened: int
    broken: int


def sealed_under(sealed: str) -> str:
    """Return the id of the key that opens a sealed value."""
    prefix, _, rest = sealed.partition(".")
    key_id, dot, _ = rest.partition(".")
    if prefix != SEALED_PREFIX or not dot:
        raise SealBroken("the value was not sealed by this program")
    return key_id


class Vault:
    """Seal and open values, and make what they are found by.

    ``keyring`` is asked for the keys each time, so it may learn new ones while the vault is used.
    """

    def __init__(self, keyring: Callable[[], Keyring], randomness: Randomness) -> None:
        self._keyring = keyring
        self._randomness = randomness
        self._counts = {"sealed": 0, "opened": 0, "broken": 0}

    def seal(self, text: str, *, owner: str, field: str) -> str:
        """Return the text encrypted under the active key, good for this owner's field alone."""
        keyring = self._keyring()
        key = keyring.key(keyring.active)
        assert key is not None, "a ring has its active key"
        nonce = self._randomness.bits(_NONCE_BYTES * 8).to_bytes(_NONCE_BYTES, "big")
        box = AESGCM(key.secret).encrypt(nonce, text.encode(), _place(owner, field))
        self._counts["sealed"] += 1
        return f"{SEALED_PREFIX}.{key.key_id}.{urlsafe_b64encode(nonce + box).decode()}"

    def open(self, sealed: str, *, owner: str, field: str) -> str:
        """Return the text; raise :class:`SealBroken` when it is not what was sealed there."""
        try:
            text = self._open(sealed, owner, field)
        except SealBroken:
            self._counts["broken"] += 1
            raise
        self._counts["opened"] += 1
        return text

    def _open(self, sealed: str, owner: str, field: str) -> str:
        key_id = sealed_under(sealed)
        key = self._keyring().key(key_id)
        if key is None:
            raise KeyMissing(f"{field} of {owner} needs the data key {key_id}, which is not there")
        try:
            box = urlsafe_b64decode(sealed.rpartition(".")[2])
            plain = AESGCM(key.secret).decrypt(
                box[:_NONCE_BYTES], box[_NONCE_BYTES:], _place(owner, field)
            )
        except (InvalidTag, Base64Error, ValueError):
            raise SealBroken(
                f"{field} of {owner} does not open: it was changed, or stood elsewhere"
            ) from None
        return plain.decode()

    def resealed(self, sealed: str, *, owner: str, field: str) -> str:
        """Return the same value under the active key."""
        return self.seal(self.open(sealed, owner=owner, field=field), owner=owner, field=field)

    def lookup(self, field: str, text: str) -> str:
        """Return what a value is found by, the same for the same value.

        It begins with the fingerprint of the index key, so that data which was stored by another
        one is noticed.
        """
        return f"{self.fingerprint}:{self._hash('lookup', field, text).hex()}"

    def derived_id(self, prefix: str, *parts: str) -> str:
        """Return the identifier that belongs to these parts: ``<prefix>_<27 hex digits>``.

        108 bits: among ten billion the chance that two are the same is below 10**-12. Without the
        index key it tells nothing of the parts.
        """
        return f"{prefix}_{self._hash(prefix, *parts).hex()[:_ID_DIGITS]}"

    def digest(self, operation: str, body: bytes) -> bytes:
        """Return the 16 bytes by which a request is known again.

        Keyed: an identity number has so few values that a plain digest of a request that holds
        one could be turned back by trying them.
        """
        keyed = blake2b(operation.encode() + b"\0", digest_size=16, key=self._keyring().index_key)
        keyed.update(body)
        return keyed.digest()

    @property
    def fingerprint(self) -> str:
        """What tells one index key from another: 8 hex digits."""
        return self._hash("fingerprint").hex()[:8]

    def _hash(self, purpose: str, *parts: str) -> bytes:
        text = "\0".join((purpose, *parts)).encode()
        return hmac.new(self._keyring().index_key, text, sha256).digest()

    def statistics(self) -> VaultStatistics:
        """Return the counts so far."""
        return VaultStatistics(**self._counts)


def _place(owner: str, field: str) -> bytes:
    return f"{_TABLE}\0{field}\0{owner}".encode()
