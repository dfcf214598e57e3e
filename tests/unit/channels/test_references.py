"""Order numbers and amounts in the forms that the channels want."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.channels.adapters.money import compact, fen, yuan
from actors.channels.adapters.references import digits_reference, hex_reference
from actors.channels.adapters.signing import is_recent, open_sealed, seal, sorted_text
from actors.channels.configuration import ADAPTERS
from tests.unit.channels.wire import NOON, Wire

# The rules of each channel's documentation.
_FORMS = {
    "own_bank": r"[0-9A-Za-z]{1,64}",
    "wechat": r"[0-9A-Za-z_\-|*]{6,32}",
    "alipay": r"[0-9A-Za-z_]{1,64}",
    "unionpay": r"[0-9A-Za-z]{8,40}",
    "netsunion": r"\d{31}",
}


def _reference(name: str) -> Callable[[str, datetime], str]:
    if name == "netsunion":
        return lambda order_id, at: digits_reference(name, order_id, at)
    return lambda order_id, _at: hex_reference(name, order_id)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
@given(order_id=st.text(min_size=1, max_size=64), hours=st.integers(0, 100_000))
def test_any_id_has_a_number_in_the_channels_form(name: str, order_id: str, hours: int) -> None:
    """Whatever our id looks like, the number has the channel's form and is always the same."""
    at = NOON + timedelta(hours=hours)
    reference = _reference(name)(order_id, at)
    assert re.fullmatch(_FORMS[name], reference, re.ASCII)
    assert reference == _reference(name)(order_id, at)


def test_the_adapter_uses_that_number(wire: Wire) -> None:
    """The adapter gives two orders two numbers, and one order one number."""
    channel = wire.channel
    assert channel.reference("a", NOON) == channel.reference("a", NOON)
    assert channel.reference("a", NOON) != channel.reference("b", NOON)
    assert channel.reference("a", NOON) == _reference(wire.name)("a", NOON)


def test_no_two_ids_share_a_number() -> None:
    """A hundred thousand ids of one day have as many numbers, in the narrowest of the forms."""
    numbers = {digits_reference("netsunion", f"cha_{n}", NOON) for n in range(100_000)}
    assert len(numbers) == 100_000


def test_the_date_in_a_number_is_that_of_beijing() -> None:
    """An order of the evening in UTC belongs to the next day in Beijing."""
    evening = datetime(2026, 11, 25, 17, tzinfo=UTC)
    assert digits_reference("netsunion", "a", evening).startswith("20261126")
    assert compact(evening) == "20261126010000"


@given(amount=st.integers(0, 10**13))
def test_yuan_and_fen_are_the_same_amount(amount: int) -> None:
    """An amount in fen, written in yuan and read again, is what it was."""
    assert fen(yuan(amount)) == amount


@given(text=st.text(max_size=12))
def test_an_amount_is_read_exactly_or_not_at_all(text: str) -> None:
    """What is read as an amount has the value that it says, to the fen."""
    amount = fen(text)
    if amount is not None:
        whole, _, part = text.partition(".")
        assert amount == int(whole) * 100 + int(part.ljust(2, "0") or 0)


@pytest.mark.parametrize("text", ["1,00", "1e3", "-1.00", "1.005", "", " 1", "١", None, 5, 1.5])
def test_what_is_no_amount_is_not_guessed(text: object) -> None:
    """Signs, exponents, thirds of a fen and other digits are no amounts."""
    assert fen(text) is None


def test_a_time_of_a_signature_is_recent_for_five_minutes() -> None:
    """Five minutes either way are recent, and nonsense never is."""
    now_ms = int(NOON.timestamp() * 1000)
    second = now_ms // 1000
    assert is_recent(str(second - 300), now_ms)
    assert is_recent(str(second + 300), now_ms)
    assert not is_recent(str(second - 301), now_ms)
    assert not is_recent(str(second + 301), now_ms)
    for nonsense in ("", "now", "-5", "9" * 30, "１２"):
        assert not is_recent(nonsense, now_ms)


def test_what_is_sealed_opens_with_the_same_key_only() -> None:
    """The resource of a callback opens with our key, nonce and associated data."""
    sealed = seal(b"k" * 32, "123456789012", "transaction", b"plain")
    assert open_sealed(b"k" * 32, "123456789012", "transaction", sealed) == b"plain"
    for key, nonce, data in (
        (b"x" * 32, "123456789012", "transaction"),
        (b"k" * 32, "123456789013", "transaction"),
        (b"k" * 32, "123456789012", "refund"),
    ):
        with pytest.raises(ValueError, match="cannot be decrypted"):
            open_sealed(key, nonce, data, sealed)


def test_empty_fields_take_no_part_in_the_text_to_sign() -> None:
    """The text is sorted by key, without the signature and without what is empty."""
    assert sorted_text({"b": "2", "a": "1", "c": "", "sign": "x"}, "sign") == b"a=1&b=2"
