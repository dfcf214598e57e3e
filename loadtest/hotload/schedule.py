"""Which version comes in which cycle: a fixed plan, made before anything runs."""

from collections.abc import Sequence

import msgspec

__all__ = ("CANARY_PPM", "Cycle", "make_schedule", "version_name")

CANARY_PPM = 100_000
# Above any version that the packs themselves will have.
_MAJOR = 9_000

# Every fifth version is bad, of each kind in turn; in between come a plain one, one that begins as
# a canary, one whose documents have a new form, and another plain one.
_GOOD = ("promote", "canary", "migrate", "promote")
# Five kinds and three packs: in a run of a hundred each kind meets each pack.
_BAD = ("crashes", "migration_raises", "slow", "self_test_fails", "migration_forgets")
_PERIOD = len(_GOOD) + 1
_BAD_PLACE = 2


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """One version that comes; a good one stays until the next, a bad one goes.

    ``form`` is the state version of its documents. ``way`` is how it comes: ``promote``, ``canary``
    first, ``migrate`` with a new form; or ``bad``.
    """

    number: int
    pack: str
    version: str
    way: str
    mood: str
    form: int


def version_name(number: int) -> str:
    """Return the version of a cycle; 0 is the one that serves before the first."""
    return f"{_MAJOR}.0.{number}"


def make_schedule(packs: Sequence[tuple[str, int]], cycles: int) -> list[Cycle]:
    """Return the cycles in order; ``packs`` are names and the forms that they begin with."""
    forms = dict(packs)
    found = []
    for number in range(1, cycles + 1):
        pack = packs[(number - 1) % len(packs)][0]
        round_, place = divmod(number - 1, _PERIOD)
        if place == _BAD_PLACE:
            way, mood = "bad", _BAD[round_ % len(_BAD)]
            # Where it is the migration that fails there has to be one. And every other one that
            # crashes leaves documents behind in a form that nobody else can read.
            newer = mood.startswith("migration") or (
                mood == "crashes" and round_ // len(_BAD) % 2 == 0
            )
            form = forms[pack] + newer
        else:
            way, mood = _GOOD[place - (place > _BAD_PLACE)], "well"
            forms[pack] += way == "migrate"
            form = forms[pack]
        found.append(
            Cycle(
                number=number,
                pack=pack,
                version=version_name(number),
                way=way,
                mood=mood,
                form=form,
            )
        )
    return found
