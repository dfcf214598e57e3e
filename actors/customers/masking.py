"""What may be shown of what a person typed: enough to recognise one's own, too little to use.

No mask leaves seven digits in a row, so the search for numbers in what is stored and logged can be
a search for digits.
"""

import re
from pathlib import Path
from traceback import extract_tb

__all__ = (
    "DIGITS_MAX",
    "mask_card",
    "mask_identity_number",
    "mask_name",
    "mask_phone",
    "scrub",
    "without_message",
)

# The most digits that stand in a row in anything masked: the region of an identity number.
DIGITS_MAX = 6

_HIDDEN = "***"
# Digits of any script, also when they are written in groups.
_NUMBER = re.compile(rf"\d(?:[ \-]?\d){{{DIGITS_MAX},}}[Xx]?")


def mask_identity_number(number: str) -> str:
    """Return ``110101********1234``: the region, and what tells two people of it apart."""
    return f"{number[:6]}********{number[-4:]}"


def mask_phone(number: str) -> str:
    """Return ``138****1234``."""
    return f"{number[:3]}****{number[-4:]}"


def mask_card(number: str) -> str:
    """Return ``6222 **** **** 1234``, whatever the length of the number."""
    return f"{number[:4]} **** **** {number[-4:]}"


def mask_name(name: str) -> str:
    """Return the first character and a star, as in ``李*``; of a single one only the star."""
    return f"{name[0]}*" if len(name) > 1 else "*"


def scrub(text: str) -> str:
    """Return free text without the numbers in it that are long enough to be someone's."""
    return _NUMBER.sub(_HIDDEN, text)


def without_message(error: BaseException) -> str:
    """Return what an exception is and where it was raised, as in ``KeyError in numbers.py:37``.

    Its message may quote a value that nobody should read in a log.
    """
    frames = extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    return f"{type(error).__name__} in {Path(frames[-1].filename).name}:{frames[-1].lineno}"
