"""All checks of a pack in their order, and what came of them."""

from collections.abc import Callable, Iterable
from traceback import format_exception

import msgspec

from kernel.clock import Clock
from kernel.plugins.archive import Archive
from kernel.plugins.errors import CapabilityRefused
from zhihui.author.checks.check import Case, Check, Finding, Result, Verdict
from zhihui.author.platform import PackBroken
from zhihui.author.rehearsal import tell, unexpected
from zhihui.author.story import Story
from zhihui.errors import SetupError

__all__ = ("Report", "run_checks")

_CAPABILITIES = 9


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What the suite says of a pack; ``story`` is what keeps its checks from being run at all."""

    name: str
    version: str
    sha256: str
    seed: int
    passed: bool
    story: tuple[str, ...]
    checks: tuple[Verdict, ...]


def run_checks(
    archive: Archive, story: Story, checks: Iterable[Check], clock: Clock, *,
    before: Archive | None = None, seed: int = 1,
    told: Callable[[Check, Verdict | None], None] | None = None,
) -> Report:  # fmt: skip
    """Run the checks; ``told`` is called before each, and after it with its verdict.

    A story that does not go as it says on a quiet day proves nothing, and then no check is run.
    """
    checks = tuple(checks)
    tell_of = told or _tell_nobody
    verdicts: list[Verdict] = []
    quiet = None
    problems: list[str] = []
    try:
        quiet = tell(archive, story, seed=seed)
        problems = [*quiet.troubles(), *unexpected(story, quiet)]
    except PackBroken as error:
        problems = [str(error)]
    if problems or quiet is None:
        verdicts = [_not_run(check, problems) for check in checks]
    else:
        case = Case(archive=archive, story=story, quiet=quiet, before=before, seed=seed)
        for check in checks:
            tell_of(check, None)
            verdicts.append(_run(check, case, clock))
            tell_of(check, verdicts[-1])
    return Report(
        name=archive.manifest.name,
        version=archive.manifest.version,
        sha256=archive.sha256,
        seed=seed,
        passed=not problems and all(one.result is not Result.FAILED for one in verdicts),
        story=tuple(problems),
        checks=tuple(verdicts),
    )


def _tell_nobody(check: Check, verdict: Verdict | None) -> None:
    del check, verdict


def _run(check: Check, case: Case, clock: Clock) -> Verdict:
    began_s = clock.monotonic_s()
    try:
        finding = check.run(case)
    except SetupError:
        raise
    except PackBroken as error:
        finding = Finding.of([str(error)])
    except Exception as error:  # noqa: BLE001 - whatever the pack did, the other checks go on
        finding = Finding.of(["".join(format_exception(error)[-3:]).strip()])
    result = Result.PASSED
    if finding.problems:
        result = Result.FAILED
    elif finding.skipped:
        result = Result.SKIPPED
    return _verdict(check, result, finding, clock.monotonic_s() - began_s)


def _not_run(check: Check, problems: list[str]) -> Verdict:
    denied = [one for one in problems if CapabilityRefused.__name__ in one]
    if check.number == _CAPABILITIES and denied:
        return _verdict(check, Result.FAILED, Finding.of(denied), 0.0)
    finding = Finding(skipped="the story does not go as it says even when nothing disturbs")
    return _verdict(check, Result.SKIPPED, finding, 0.0)


def _verdict(check: Check, result: Result, finding: Finding, seconds: float) -> Verdict:
    return Verdict(
        number=check.number,
        name=check.name,
        proves=check.proves,
        result=result,
        problems=finding.problems,
        note=finding.skipped or finding.note,
        seconds=round(seconds, 3),
    )
