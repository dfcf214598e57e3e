"""Keys in the text form of NATS: read as NATS writes them, and slips of the hand are told."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from kernel.nkey import Nkey, is_public_key

# Of the bytes 0 to 31, as the Python library of the NATS project writes it: no secret of anybody.
_SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _key() -> Nkey:
    return Nkey(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


@given(raw=st.binary(min_size=32, max_size=32))
def test_a_seed_is_read_as_it_was_written(raw: bytes) -> None:
    """Every key survives its text, with blanks around it as a file has them."""
    key = Nkey(Ed25519PrivateKey.from_private_bytes(raw))
    assert key.seed.startswith("SU")
    assert key.public_key.startswith("U")
    assert (len(key.seed), len(key.public_key)) == (58, 56)
    again = Nkey.from_seed(f"\n {key.seed}\r\n")
    assert (again.seed, again.public_key) == (key.seed, key.public_key)
    assert again.sign(b"nonce") == key.sign(b"nonce")
    assert is_public_key(key.public_key)


def test_the_text_is_that_of_nats() -> None:
    """The text of a key never changes: files that were handed out must stay good."""
    assert _key().seed == _SEED


@given(place=st.integers(0, 57), letter=st.sampled_from(_LETTERS))
def test_one_wrong_letter_is_noticed(place: int, letter: str) -> None:
    """A seed with any one sign changed is no seed, and the error does not quote it."""
    seed = _key().seed
    changed = seed[:place] + letter + seed[place + 1 :]
    if changed == seed:
        return
    with pytest.raises(ValueError, match="not the seed") as caught:
        Nkey.from_seed(changed)
    assert changed not in str(caught.value)


@pytest.mark.parametrize("text", ["", "SU", "hello", "S" * 58, f"{_SEED}A", "SU" + "A" * 56])
def test_what_is_no_key_is_refused(text: str) -> None:
    """Neither other text nor a public key is a seed, nor the other way round."""
    with pytest.raises(ValueError, match="not the seed"):
        Nkey.from_seed(text)
    with pytest.raises(ValueError, match="not the seed"):
        Nkey.from_seed(_key().public_key)
    assert not is_public_key(text)
    assert not is_public_key(_key().seed)


def test_the_secret_half_is_never_shown() -> None:
    """What a log or an error would print of a key is its public half."""
    key = Nkey.generate()
    assert key.seed not in f"{key!r} {key}"
    assert key.public_key in repr(key)
    assert Nkey.generate().seed != key.seed
