"""What a check of the conformance suite is, and what it says."""

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from kernel.plugins.archive import Archive
from zhihui.author.rehearsal import Ending, Send, differences, tell
from zhihui.author.stage import Outcome
from zhihui.author.story import Story

__all__ = ("Case", "Check", "Finding", "Result", "Verdict")

_PROBLEMS_MAX = 6


class Result(enum.StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What a check found: ``problems`` for the author, or why it was ``skipped``.

    ``note`` is by the way.
    """

    problems: tuple[str, ...] = ()
    skipped: str = ""
    note: str = ""

    @classmethod
    def of(cls, problems: Sequence[str], note: str = "") -> "Finding":
        """Return a finding with these problems, the first few of them."""
        return cls(problems=tuple(problems[:_PROBLEMS_MAX]), note=note)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """A check and what came of it."""

    number: int
    name: str
    proves: str
    result: Result
    problems: tuple[str, ...]
    note: str
    seconds: float


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """The pack on trial, its story, and what comes of it when nothing disturbs.

    ``before`` is the archive of the version before, if the author has one.
    """

    archive: Archive
    story: Story
    quiet: Outcome
    before: Archive | None
    seed: int

    def told(
        self, send: Send, *, before: Ending | None = None, after: Ending | None = None
    ) -> list[str]:
        """Tell the story with trouble; return in what it differs from one without.

        The calls of the one without are sent at the moments at which those with trouble were
        decided: then the same clock stands over both.
        """
        disturbed = tell(self.archive, self.story, send, before=before, after=after, seed=self.seed)
        quiet = tell(self.archive, self.story, moments=disturbed.moments, seed=self.seed)
        return differences(self.story, quiet, disturbed)


class Check(ABC):
    """One numbered check. ``proves`` completes the sentence *this check proves that …*."""

    number: ClassVar[int]
    name: ClassVar[str]
    proves: ClassVar[str]

    @abstractmethod
    def run(self, case: Case) -> Finding:
        """Look at the pack."""
