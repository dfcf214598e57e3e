"""Masks: what may be shown of a number or a name."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from actors.customers.masking import (
    DIGITS_MAX,
    mask_card,
    mask_identity_number,
    mask_name,
    mask_phone,
    scrub,
)

_DIGITS = st.text("0123456789", min_size=17, max_size=17)
_IDENTITY_NUMBERS = st.builds(str.__add__, _DIGITS, st.sampled_from("0123456789X"))
_PHONES = st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)
_CARDS = st.text("0123456789", min_size=12, max_size=19)


def _longest_run(text: str) -> int:
    """Return how many digits stand in a row at most, blanks and hyphens between them ignored."""
    joined = re.sub(r"[ \-]", "", text)
    return max((len(run) for run in re.findall(r"\d+", joined)), default=0)


def test_the_forms() -> None:
    """Each kind of value has the mask that people know from their own bank."""
    assert mask_identity_number("11010519491231002X") == "110105********002X"
    assert mask_phone("13812341234") == "138****1234"
    assert mask_card("6222020200112231234") == "6222 **** **** 1234"
    assert mask_card("622202001234") == "6222 **** **** 1234"
    assert [mask_name(name) for name in ("李雷", "欧阳娜娜", "Li Lei", "李")] == [
        "李*", "欧*", "L*", "*",
    ]  # fmt: skip


@given(_IDENTITY_NUMBERS)
def test_an_identity_number_is_not_in_its_mask(number: str) -> None:
    """No seven digits in a row are left, and the date of birth is gone."""
    masked = mask_identity_number(number)
    assert _longest_run(masked) <= DIGITS_MAX
    assert masked[6:14] == "********"


@given(_PHONES)
def test_a_phone_number_is_not_in_its_mask(number: str) -> None:
    """No seven digits in a row are left."""
    assert _longest_run(mask_phone(number)) <= DIGITS_MAX
    assert len(mask_phone(number)) == len(number)


@given(_CARDS)
def test_a_card_number_is_not_in_its_mask(number: str) -> None:
    """No seven digits in a row are left, and the length is not told."""
    masked = mask_card(number)
    assert _longest_run(masked) <= DIGITS_MAX
    assert len(masked) == len("6222 **** **** 1234")


@given(st.text(min_size=1, max_size=60))
def test_at_most_one_character_of_a_name_is_shown(name: str) -> None:
    """Whatever the name, its mask is its first character at most."""
    masked = mask_name(name)
    assert masked in ("*", f"{name[0]}*")
    assert len(name) > 1 or masked == "*"


@given(st.text(max_size=100))
@example("call 138 1234 1234 now")
@example("6222-0202-0011-2231-234")
@example("１３８１２３４１２３４")
@example("110105 19491231 002X")
@example("1234567")
def test_free_text_loses_its_numbers(text: str) -> None:
    """Seven digits in a row, in groups or in another script, are taken out."""
    assert _longest_run(scrub(text)) <= DIGITS_MAX


@given(st.text(st.characters(exclude_categories=["Nd"]), max_size=100))
def test_text_without_numbers_is_left_alone(text: str) -> None:
    """Words are not changed."""
    assert scrub(text) == text


def test_short_numbers_stay() -> None:
    """A date or an amount in a reason is still there to be read."""
    assert scrub("seen on 2026-11 at desk 4, 1500 yuan") == "seen on 2026-11 at desk 4, 1500 yuan"
