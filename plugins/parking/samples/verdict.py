"""What must come of a message, as the models of the day say it."""

from typing import Any

import msgspec

__all__ = ("Refused", "Verdict")


class Verdict(msgspec.Struct, frozen=True):
    """What the reply must say: a scenario's own status, ``ok``, or the code of an error.

    ``result`` holds fields of the result that must be equal.
    """

    outcome: str
    result: dict[str, Any] = {}


class Refused(Exception):
    """The message is rejected; the argument is the error's code."""
