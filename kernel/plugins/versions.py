"""Semantic versions (semver.org, 2.0.0) and ranges of them."""

import re
from functools import total_ordering

__all__ = ("Version", "VersionRange")

_NUMBER = r"(?:0|[1-9][0-9]{0,8})"
_PRE = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_PRE}(?:\.{_PRE})*))?"
    r"(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?"
)
_CONDITION = re.compile(rf"(>=|<=|==|>|<)\s*({_NUMBER}(?:\.{_NUMBER}){{0,2}}\S*)")
# Longer ones have no reader.
_TEXT_MAX = 64
_CONDITIONS_MAX = 4


@total_ordering
class Version:
    """``major.minor.patch[-pre.release][+build]``. The build says nothing about order."""

    __slots__ = ("_key", "text")

    def __init__(self, text: str) -> None:
        found = _VERSION.fullmatch(text) if len(text) <= _TEXT_MAX else None
        if found is None:
            raise ValueError(f"{text!r} is not a semantic version such as 1.4.0 or 2.0.0-rc.1")
        self.text = text
        major, minor, patch, pre, _ = found.groups()
        # A release comes after its pre-releases; numbers come before words.
        order = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in (pre.split(".") if pre else ())
        )
        self._key = (int(major), int(minor), int(patch), pre is None, order)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self._key == other._key

    def __lt__(self, other: "Version") -> bool:
        return self._key < other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Version({self.text!r})"

    @property
    def major(self) -> int:
        """The first number: it grows when something that worked no longer does."""
        return self._key[0]


class VersionRange:
    """Conditions that hold together, as in ``>=0.1,<0.2``; missing numbers are zeros."""

    __slots__ = ("_conditions", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        parts = [part.strip() for part in text.split(",")]
        if len(text) > _TEXT_MAX * _CONDITIONS_MAX or len(parts) > _CONDITIONS_MAX:
            raise ValueError(f"a range has at most {_CONDITIONS_MAX} conditions")
        self._conditions = [_condition(part, text) for part in parts]

    def __contains__(self, version: Version) -> bool:
        return all(_holds(op, version, bound) for op, bound in self._conditions)

    def __repr__(self) -> str:
        return f"VersionRange({self.text!r})"


def _condition(part: str, whole: str) -> tuple[str, Version]:
    found = _CONDITION.fullmatch(part)
    if found is None:
        raise ValueError(
            f"{part!r} in the range {whole!r} is not a condition; write one such as '>=0.1,<0.2'"
        )
    op, bound = found.groups()
    plain = re.fullmatch(rf"{_NUMBER}(?:\.{_NUMBER})?", bound)
    if plain:
        bound += ".0" * (2 - bound.count("."))
    return op, Version(bound)


def _holds(op: str, version: Version, bound: Version) -> bool:
    if version == bound:
        return "=" in op
    return version < bound if op[0] == "<" else bound < version and op[0] == ">"
