"""Who vouches for an archive: detached Ed25519 signatures, and the keys that are trusted.

Keys are in the form that ``openssl genpkey -algorithm ed25519`` writes (PEM), so that a partner
can make and keep one with what they have.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kernel.plugins.archive import Archive
from kernel.plugins.errors import SignatureRefused

__all__ = ("KEYS_MAX", "Signature", "SigningKey", "TrustedKeys", "decode_signature")

# A ring is looked through by people.
KEYS_MAX = 100
_PURPOSE = "zhihui plugin archive 1"
_FORMAT = 1


class Signature(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in a signature's file, as JSON.

    ``name``, ``version`` and ``sha256`` are for people: what was signed is computed from the
    archive itself. ``key`` is the fingerprint of the public key, ``signature`` base64.
    """

    name: str
    version: str
    sha256: str
    key: str
    signature: str
    format: int = _FORMAT

    def encode(self) -> bytes:
        """Return the content of a signature's file."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"


def decode_signature(data: bytes) -> Signature:
    """Read a signature's file; raise :class:`SignatureRefused` when it is none."""
    try:
        return msgspec.json.decode(data, type=Signature)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise SignatureRefused(f"this is no signature of an archive: {error}") from error


class SigningKey:
    """The secret half of a key. Its representation never shows it."""

    __slots__ = ("_private",)

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def generate(cls) -> "SigningKey":
        """Make a new key from the system's own randomness, which is the only right one for keys."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, text: bytes) -> "SigningKey":
        """Read a key; raise :class:`ValueError`, which does not quote it, when it is none."""
        try:
            private = load_pem_private_key(text, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            private = None
        if isinstance(private, Ed25519PrivateKey):
            return cls(private)
        raise ValueError("this is not an unencrypted Ed25519 private key in PEM form")

    @property
    def pem(self) -> bytes:
        """The secret half as text."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def public_pem(self) -> bytes:
        """The public half as text."""
        return self._private.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, archive: Archive) -> Signature:
        """Return the signature of an archive."""
        return Signature(
            name=archive.manifest.name,
            version=archive.manifest.version,
            sha256=archive.sha256,
            key=_fingerprint(self._private.public_key()),
            signature=base64.b64encode(self._private.sign(_signed(archive))).decode(),
        )

    def __repr__(self) -> str:
        return f"<SigningKey {_fingerprint(self._private.public_key())}>"


class TrustedKeys:
    """The ring: whoever holds the secret half of one of these keys may bring code here."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """``keys`` are public keys in PEM form by the names of those who hold the secret halves."""
        if len(keys) > KEYS_MAX:
            raise ValueError(f"{len(keys)} keys; a ring has at most {KEYS_MAX}")
        self._keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
        for owner, pem in keys.items():
            try:
                key = load_pem_public_key(pem)
            except (ValueError, UnsupportedAlgorithm):
                key = None
            if isinstance(key, Ed25519PublicKey):
                self._keys[_fingerprint(key)] = (owner, key)
                continue
            raise ValueError(f"the key of {owner!r} is not an Ed25519 public key in PEM form")
        self._digests: dict[str, str] = {}

    def trust_digest(self, sha256: str, owner: str) -> None:
        """Take this one archive without a signature: it came by a way that is trusted as it is."""
        self._digests[sha256] = owner

    def verify(self, archive: Archive, signature: Signature | None) -> str:
        """Return who signed the archive; raise :class:`SignatureRefused` when nobody here did."""
        if archive.sha256 in self._digests:
            return self._digests[archive.sha256]
        what = f"{archive.manifest.name} {archive.manifest.version}"
        if signature is None:
            raise SignatureRefused(f"{what} is not signed; sign it with a key that is trusted here")
        known = self._keys.get(signature.key)
        if signature.format != _FORMAT or known is None:
            trusted = ", ".join(sorted(owner for owner, _ in self._keys.values())) or "nobody"
            raise SignatureRefused(
                f"{what} is signed by the key {signature.key}, which is not trusted here; "
                f"trusted: {trusted}"
            )
        owner, key = known
        try:
            key.verify(base64.b64decode(signature.signature, validate=True), _signed(archive))
        except (InvalidSignature, binascii.Error, ValueError):
            # Not chained: what went wrong in the cipher is nobody's business.
            valid = False
        else:
            valid = True
        if not valid:
            raise SignatureRefused(
                f"the signature of {owner!r} is not of this archive of {what} with the digest "
                f"{archive.sha256}"
            )
        return owner


def _signed(archive: Archive) -> bytes:
    """Return what is signed. No part of it can hold the line feed that separates them."""
    manifest = archive.manifest
    return f"{_PURPOSE}\n{manifest.name}\n{manifest.version}\n{archive.sha256}".encode()


def _fingerprint(key: Ed25519PublicKey) -> str:
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return hashlib.sha256(raw).hexdigest()[:32]
