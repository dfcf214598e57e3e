"""The vault: what is sealed opens in its own place, and nowhere else."""

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.customers.keyring import (
    KEYS_MAX,
    Keyring,
    activated,
    decode_keyring,
    encode_keyring,
    new_keyring,
    with_new_key,
)
from actors.customers.vault import SealBroken, Vault, sealed_under
from kernel.randomness import SeededRandomness
from schemas.customers import RegisterCustomer, RevealedCustomer

_NOW = datetime(2026, 11, 25, tzinfo=UTC)
_PLACES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=20)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)


def _ring(seed: int = 1) -> Keyring:
    return new_keyring(SeededRandomness(seed), _NOW)


def _vault(keyring: Keyring) -> Vault:
    return Vault(lambda: keyring, SeededRandomness(2))


def _rotated(keyring: Keyring) -> Keyring:
    more = with_new_key(keyring, SeededRandomness(len(keyring.keys) + 50), _NOW)
    return activated(more, more.keys[-1].key_id, _NOW)


@given(_TEXTS, _PLACES, _PLACES)
def test_what_is_sealed_opens_in_its_place(text: str, owner: str, field: str) -> None:
    """The same text comes back, and it is not in what is stored."""
    vault = _vault(_ring())
    sealed = vault.seal(text, owner=owner, field=field)
    assert vault.open(sealed, owner=owner, field=field) == text
    assert len(text) < 4 or text not in sealed


@given(_TEXTS, st.lists(_PLACES, min_size=4, max_size=4, unique=True))
def test_what_was_moved_does_not_open(text: str, places: list[str]) -> None:
    """In another row, or another field of the same row, it is worthless."""
    vault = _vault(_ring())
    owner, field, other_owner, other_field = places
    sealed = vault.seal(text, owner=owner, field=field)
    for wrong_owner, wrong_field in ((other_owner, field), (owner, other_field), (field, owner)):
        with pytest.raises(SealBroken):
            vault.open(sealed, owner=wrong_owner, field=wrong_field)


@given(_TEXTS, st.data())
def test_what_was_changed_does_not_open(text: str, data: st.DataObject) -> None:
    """One other character anywhere in what counts and it does not open."""
    vault = _vault(_ring())
    sealed = vault.seal(text, owner="c", field="name")
    at = data.draw(st.integers(0, len(sealed) - 5))
    other = data.draw(st.sampled_from("ABCxyz019-_.").filter(lambda one: one != sealed[at]))
    with pytest.raises(SealBroken) as caught:
        vault.open(sealed[:at] + other + sealed[at + 1 :], owner="c", field="name")
    assert len(text) < 3 or text not in str(caught.value)


@given(_TEXTS)
def test_another_key_does_not_open_it(text: str) -> None:
    """A ring with the same names and other secrets opens nothing."""
    sealed = _vault(_ring(1)).seal(text, owner="c", field="name")
    with pytest.raises(SealBroken, match="does not open"):
        _vault(_ring(9)).open(sealed, owner="c", field="name")


@given(st.lists(_TEXTS, min_size=1, max_size=8))
def test_rotation_leaves_everything_readable(texts: list[str]) -> None:
    """New values take the new key, the old ones still read, and resealing moves them over."""
    keyring = _ring()
    sealed = []
    for number, text in enumerate(texts):
        sealed.append(_vault(keyring).seal(text, owner=f"c{number}", field="name"))
        keyring = _rotated(keyring)
    vault = _vault(keyring)
    assert [sealed_under(one) for one in sealed] == [f"k{n + 1}" for n in range(len(texts))]
    for number, text in enumerate(texts):
        place = {"owner": f"c{number}", "field": "name"}
        assert vault.open(sealed[number], **place) == text
        again = vault.resealed(sealed[number], **place)
        assert sealed_under(again) == keyring.active
        assert vault.open(again, **place) == text


def test_a_missing_key_is_named() -> None:
    """Whoever takes an old key out of the ring too early is told which one is wanted."""
    keyring = _ring()
    sealed = _vault(keyring).seal("李雷", owner="c", field="name")
    rotated = _rotated(keyring)
    without = msgspec.structs.replace(rotated, keys=rotated.keys[1:])
    with pytest.raises(SealBroken, match="k1"):
        _vault(without).open(sealed, owner="c", field="name")


def test_no_value_is_sealed_twice_alike() -> None:
    """Who reads the table cannot see that two people have the same name."""
    vault = _vault(_ring())
    assert vault.seal("李雷", owner="c", field="name") != vault.seal(
        "李雷", owner="c", field="name"
    )


def test_lookups_outlive_a_rotation() -> None:
    """Keyed hashes stay what they were, for the index key stays; so do the ids made with it."""
    before, after = _vault(_ring()), _vault(_rotated(_ring()))
    assert before.lookup("phone", "13812341234") == after.lookup("phone", "13812341234")
    assert before.derived_id("party", "x") == after.derived_id("party", "x")
    assert before.digest("a.b", b"1") == after.digest("a.b", b"1")
    assert before.fingerprint == after.fingerprint


def test_hashes_are_of_a_field_and_of_a_ring() -> None:
    """The same digits in another field, or under another index key, are found by another hash."""
    vault, other = _vault(_ring(1)), _vault(_ring(2))
    assert vault.lookup("phone", "1") != vault.lookup("card_number", "1")
    assert vault.lookup("phone", "1") != other.lookup("phone", "1")
    assert vault.derived_id("party", "1", "2") != vault.derived_id("party", "12")
    assert vault.digest("a.b", b"1") != vault.digest("a.b", b"2")
    assert vault.digest("a.b", b"1") != other.digest("a.b", b"1")


def test_a_ring_comes_back_from_its_file() -> None:
    """All keys, with their secrets, survive; what is no ring is refused without being quoted."""
    keyring = _rotated(_ring())
    assert decode_keyring(encode_keyring(keyring)) == keyring
    for damage in (b"", b"{}", b'{"secret":"hunter2"}', encode_keyring(keyring)[:-10]):
        with pytest.raises(ValueError, match="keyring") as caught:
            decode_keyring(damage)
        assert "hunter2" not in str(caught.value)
    short = msgspec.structs.replace(keyring, index_key=b"short")
    with pytest.raises(ValueError, match="32 bytes"):
        decode_keyring(encode_keyring(short))


def test_a_ring_has_a_limit() -> None:
    """A ring does not grow without end."""
    keyring = _ring()
    for _ in range(KEYS_MAX - 1):
        keyring = with_new_key(keyring, SeededRandomness(3), _NOW)
    with pytest.raises(ValueError, match="as many as it may"):
        with_new_key(keyring, SeededRandomness(3), _NOW)


def test_secrets_do_not_print() -> None:
    """Neither a ring nor a request shows what it holds when it is printed by accident."""
    keyring = _ring()
    assert repr(keyring.keys[0].secret) not in repr(keyring) + repr(keyring.keys[0])
    request = RegisterCustomer(
        request_id="r-1", name="李雷", id_number="11010519491231002X", phone="13812341234"
    )
    shown = RevealedCustomer(customer_id="c", name="李雷")
    for text in (repr(request), str(request), f"{request}", repr(shown), repr([request])):
        assert not any(secret in text for secret in ("李雷", "1101", "138"))
