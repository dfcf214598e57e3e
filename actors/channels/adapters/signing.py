"""Signatures of the channels: RSA with SHA-256 over what each of them calls the text to sign.

All but the texts is shared. Both sides of the wire use these functions: the adapters, and the
simulator that stands on the other side.
"""

import base64
import binascii
import hashlib
from collections.abc import Mapping

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = (
    "CLOCK_SKEW_S_MAX",
    "KEY_BITS",
    "Signer",
    "Verifier",
    "generate_key",
    "is_recent",
    "new_secret",
    "open_sealed",
    "request_text",
    "response_text",
    "seal",
    "sorted_text",
    "unionpay_text",
)

# What the channels ask of a merchant's key at least (WeChat Pay issues certificates of 2048 bits).
KEY_BITS = 2048
# How old or how far ahead a signed message may be; WeChat Pay's documentation says five minutes.
CLOCK_SKEW_S_MAX = 300


class Signer:
    """A private key that signs texts."""

    def __init__(self, pem: bytes) -> None:
        key = serialization.load_pem_private_key(pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("a channel's private key must be an RSA key")
        self._key = key

    def sign(self, text: bytes) -> str:
        """Return the signature of a text in base64."""
        signature = self._key.sign(text, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()


class Verifier:
    """A public key that tells whose text it is."""

    def __init__(self, pem: bytes) -> None:
        key = serialization.load_pem_public_key(pem)
        if not isinstance(key, rsa.RSAPublicKey):
            raise TypeError("a channel's public key must be an RSA key")
        self._key = key

    def verifies(self, text: bytes, signature: str) -> bool:
        """Tell whether the signature, in base64, is of this text and this key."""
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(raw, text, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


def generate_key() -> tuple[bytes, bytes]:
    """Return a new pair of keys, private and public, in PEM."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=KEY_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private, public


def new_secret() -> bytes:
    """Return a new key for :func:`seal`, of 32 characters as WeChat Pay's merchants choose them."""
    return AESGCM.generate_key(128).hex().encode()


def is_recent(timestamp: str, now_ms: int) -> bool:
    """Tell whether Unix seconds in a header are within :data:`CLOCK_SKEW_S_MAX` of now."""
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        return False
    return abs(int(timestamp) - now_ms // 1000) <= CLOCK_SKEW_S_MAX


def request_text(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """Return what WeChat Pay v3 signs of a request; ``target`` is path and query."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def response_text(timestamp: str, nonce: str, body: bytes) -> bytes:
    """Return what WeChat Pay v3 signs of a response and of a callback."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def sorted_text(fields: Mapping[str, str], *without: str) -> bytes:
    """Return what Alipay signs: ``k=v`` in order of the keys, joined by ``&``, empty ones left out.

    ``without`` are the keys that take no part, such as the signature itself.
    """
    pairs = sorted((key, value) for key, value in fields.items() if value and key not in without)
    return "&".join(f"{key}={value}" for key, value in pairs).encode()


def unionpay_text(fields: Mapping[str, str]) -> bytes:
    """Return what UnionPay 5.1.0 signs: the hexadecimal SHA-256 of the sorted text."""
    return hashlib.sha256(sorted_text(fields, "signature")).hexdigest().encode()


def seal(key: bytes, nonce: str, associated: str, plain: bytes) -> str:
    """Encrypt with AES-256-GCM as WeChat Pay's callbacks are; return base64 of text and tag."""
    sealed = AESGCM(key).encrypt(nonce.encode(), plain, associated.encode())
    return base64.b64encode(sealed).decode()


def open_sealed(key: bytes, nonce: str, associated: str, sealed: str) -> bytes:
    """Decrypt what :func:`seal` made; raise ValueError when it was not made with this key."""
    try:
        raw = base64.b64decode(sealed, validate=True)
        return AESGCM(key).decrypt(nonce.encode(), raw, associated.encode())
    except (InvalidTag, ValueError) as error:
        raise ValueError("the resource cannot be decrypted with our key") from error
