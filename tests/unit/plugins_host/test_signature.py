"""Signatures: of this archive, by a key that is trusted, or not at all."""

import base64

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from kernel.plugins.errors import SignatureRefused
from kernel.plugins.signature import SigningKey, TrustedKeys, decode_signature
from tests.unit.plugins_host.lab import changed, library

# The first key of RFC 8032, as `openssl genpkey -algorithm ed25519` and `openssl pkey -pubout`
# write one.
_OPENSSL_SECRET = b"""-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
"""
_OPENSSL_PUBLIC = b"""-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
"""


@pytest.fixture(scope="module")
def partner() -> SigningKey:
    return SigningKey.generate()


@pytest.fixture(scope="module")
def ring(partner: SigningKey) -> TrustedKeys:
    return TrustedKeys({"partner": partner.public_pem, "openssl": _OPENSSL_PUBLIC})


def test_a_signed_archive_is_accepted(partner: SigningKey, ring: TrustedKeys) -> None:
    """Whose key it is comes back, and the signature survives its file."""
    signature = decode_signature(partner.sign(library(1)).encode())
    assert ring.verify(library(1), signature) == "partner"
    assert signature.sha256 == library(1).sha256


def test_keys_of_openssl_work(ring: TrustedKeys) -> None:
    """A partner makes a key with what they have."""
    key = SigningKey.from_pem(_OPENSSL_SECRET)
    assert key.public_pem == _OPENSSL_PUBLIC
    assert SigningKey.from_pem(key.pem).public_pem == _OPENSSL_PUBLIC
    assert ring.verify(library(2), key.sign(library(2))) == "openssl"


def test_an_unsigned_archive_is_refused(ring: TrustedKeys) -> None:
    """Deny is the default."""
    with pytest.raises(SignatureRefused, match=r"library 1\.0\.0 is not signed") as caught:
        ring.verify(library(1), None)
    assert caught.value.body().code == "forbidden"


def test_a_stranger_is_refused(ring: TrustedKeys) -> None:
    """A good signature by a key that is not in the ring is none, and the ring is named."""
    with pytest.raises(SignatureRefused, match="not trusted here; trusted: openssl, partner"):
        ring.verify(library(1), SigningKey.generate().sign(library(1)))
    with pytest.raises(SignatureRefused, match="trusted: nobody"):
        TrustedKeys({}).verify(library(1), SigningKey.generate().sign(library(1)))


def test_a_signature_is_of_one_archive(partner: SigningKey, ring: TrustedKeys) -> None:
    """It does not cover another content, whatever its file says."""
    other = changed(library(1), {"pack.py": "# evil\n"})
    signature = msgspec.structs.replace(partner.sign(library(1)), sha256=other.sha256)
    with pytest.raises(SignatureRefused, match="not of this archive"):
        ring.verify(other, signature)


def test_a_key_is_not_mistaken_for_another(partner: SigningKey, ring: TrustedKeys) -> None:
    """Naming a trusted key does not make its signature."""
    forged = msgspec.structs.replace(
        SigningKey.generate().sign(library(1)), key=partner.sign(library(1)).key
    )
    with pytest.raises(SignatureRefused, match="not of this archive"):
        ring.verify(library(1), forged)


@pytest.mark.parametrize("text", ["", "!!!", base64.b64encode(b"short").decode()])
def test_nonsense_is_refused(partner: SigningKey, ring: TrustedKeys, text: str) -> None:
    """What is no signature at all is refused as one that does not fit."""
    broken = msgspec.structs.replace(partner.sign(library(1)), signature=text)
    with pytest.raises(SignatureRefused, match="not of this archive"):
        ring.verify(library(1), broken)


def test_another_format_is_refused(partner: SigningKey, ring: TrustedKeys) -> None:
    """A later form is not guessed at."""
    later = msgspec.structs.replace(partner.sign(library(1)), format=2)
    with pytest.raises(SignatureRefused):
        ring.verify(library(1), later)


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b'{"name":1}', b"[" * 5000])
def test_a_file_that_is_no_signature_is_refused(data: bytes) -> None:
    """Whatever the bytes, the error is typed."""
    with pytest.raises(SignatureRefused, match="no signature of an archive"):
        decode_signature(data)


def test_other_kinds_of_keys_are_refused() -> None:
    """Only Ed25519 in PEM form, and the secret half is never quoted."""
    rsa = generate_private_key(65537, 2048)
    secret = rsa.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for text in (secret, b"", b"nonsense", _OPENSSL_PUBLIC):
        with pytest.raises(ValueError, match="Ed25519 private key") as caught:
            SigningKey.from_pem(text)
        assert "BEGIN" not in str(caught.value)
    for text in (public, b"", _OPENSSL_SECRET):
        with pytest.raises(ValueError, match="'x' is not an Ed25519 public key"):
            TrustedKeys({"x": text})


def test_a_secret_is_not_shown() -> None:
    """The representation of a key names its public half only."""
    key = SigningKey.from_pem(_OPENSSL_SECRET)
    assert repr(key).startswith("<SigningKey ")
    assert "J1hsZ3v" not in repr(key)
