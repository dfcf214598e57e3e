"""What the suite says of a pack, for people and for programs."""

from collections.abc import Iterator

from zhihui.author.checks import Report, Result, Verdict

__all__ = ("check_lines", "summary_lines")

_MARKS = {Result.PASSED: "ok", Result.FAILED: "FAILED", Result.SKIPPED: "skipped"}
_NAME = 32


def check_lines(verdict: Verdict) -> Iterator[str]:
    """Return the lines about a check."""
    note = f"  ({verdict.note})" if verdict.note else ""
    yield f"{verdict.number:>2}  {verdict.name:<{_NAME}}{_MARKS[verdict.result]}{note}"
    if verdict.result is Result.FAILED:
        yield f"    This check proves that {verdict.proves}. It does not hold:"
        for problem in verdict.problems:
            first, *rest = problem.splitlines()
            yield f"    - {first}"
            yield from (f"      {line}" for line in rest)


def summary_lines(report: Report) -> Iterator[str]:
    """Return the lines below the checks."""
    what = f"{report.name} {report.version}"
    if report.story:
        yield "The story in samples/check.toml does not go as it says, so nothing could be checked:"
        yield from (f"- {problem}" for problem in report.story)
        return
    failed = [one for one in report.checks if one.result is Result.FAILED]
    if failed:
        numbers = ", ".join(str(one.number) for one in failed)
        count = f"{len(failed)} of {len(report.checks)}"
        yield f"{what} does not pass: {count} checks failed: {numbers}."
        yield f"Seed {report.seed}; repeat one by `zhihui plugin check --only {failed[0].number}`."
        return
    passed = sum(one.result is Result.PASSED for one in report.checks)
    skipped = len(report.checks) - passed
    said = f"{what} passes: {passed} checks in {sum(one.seconds for one in report.checks):.1f} s"
    yield f"{said}, {skipped} skipped." if skipped else f"{said}."
