"""The shapes of identifiers and free text."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.identifiers import AccountId, Identifier, RequestId, ShortText

_SHAPES = [AccountId, Identifier, RequestId]
_WORDS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def _decode(shape: Any, text: str) -> Any:
    return msgspec.json.decode(msgspec.json.encode(text), type=shape)


@pytest.mark.parametrize("shape", _SHAPES)
@given(first=st.sampled_from(_WORDS), rest=st.text(_WORDS + "._:-", max_size=63))
def test_identifiers_pass(shape: Any, first: str, rest: str) -> None:
    """A letter or digit, then letters, digits and . _ : - up to 64 in all, is an identifier."""
    assert _decode(shape, first + rest) == first + rest


@pytest.mark.parametrize("shape", _SHAPES)
@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\r\n",
        "\na",
        "a\x00",
        "\x00",
        "a b",
        " a",
        "a\t",
        "*",
        "a*",
        ">",
        "a.>",
        "-a",
        ".a",
        ":a",
        "_a",
        "a/b",
        "a'b",
        'a"b',
        "a\\b",
        "账户",
        "é",
        "a\u0301",
        "ａ",
        "a\u200b",
        "a\u2028",
        "１",
        "٣",
        "x" * 65,
    ],
)
def test_other_identifiers_are_refused(shape: Any, text: str) -> None:
    """Line ends, NUL, blanks, wildcards, quotes and anything beyond ASCII are refused."""
    with pytest.raises(msgspec.ValidationError):
        _decode(shape, text)


@pytest.mark.parametrize("text", ["", "早餐 ☕ 12.50 元", "x" * 140, "a'b\"c\\d", "—…“”"])
def test_free_text_passes(text: str) -> None:
    """Free text is any text for people, up to 140 characters."""
    assert _decode(ShortText, text) == text


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "a\n", "a\nb", "\r", "\t", "\x1b[31m", "\x7f"])
def test_control_characters_are_refused_in_free_text(text: str) -> None:
    """Free text holds no control characters: Postgres takes no NUL, and logs no line ends."""
    with pytest.raises(msgspec.ValidationError):
        _decode(ShortText, text)


def test_long_free_text_is_refused() -> None:
    """Free text of more than 140 characters is refused."""
    with pytest.raises(msgspec.ValidationError):
        _decode(ShortText, "x" * 141)
