"""The conformance suite: a sound pack passes it, and each breach is seen by the check for it."""

import copyreg
import os
from collections.abc import Iterator

import pytest

from kernel.clock import SystemClock
from kernel.plugins.archive import Archive
from tests.unit.author.broken_packs import BROKEN, Broken, sound, sound_changed, upgraded
from zhihui.author.checks import CHECKS, Report, Result, run_checks
from zhihui.author.report import check_lines, summary_lines
from zhihui.author.story import story_of

_MIGRATE = """\
    def migrate(self, collection, from_version, to_version, document):
        if collection != "thing":
            return document
        if to_version == 2:
            lent = document.pop("lent", 0)
            return {"times": lent, **document}
        times = document.pop("times")
        return {"lent": times, **document}
"""


@pytest.fixture(autouse=True)
def _cleared() -> Iterator[None]:
    """Take back what the broken packs leave behind on purpose."""
    yield
    for name in [one for one in os.environ if one.startswith("SOUND_")]:
        del os.environ[name]
    for kind in [one for one in copyreg.dispatch_table if one.__module__.startswith("_plugins")]:
        del copyreg.dispatch_table[kind]


def _checked(archive: Archive, before: Archive | None = None) -> Report:
    return run_checks(archive, story_of(archive), CHECKS, SystemClock(), before=before)


def _failed(report: Report) -> dict[int, str]:
    return {
        one.number: "\n".join(one.problems) for one in report.checks if one.result is Result.FAILED
    }


def test_a_sound_pack_passes() -> None:
    """All twelve checks pass, none is skipped, and they are numbered in order."""
    report = _checked(sound())
    assert (report.passed, report.story, _failed(report)) == (True, (), {})
    assert [one.number for one in report.checks] == list(range(1, 13))
    assert {one.result for one in report.checks} == {Result.PASSED}
    assert "passes: 12 checks" in "\n".join(summary_lines(report))


@pytest.mark.slow
@pytest.mark.parametrize("broken", BROKEN, ids=[f"{one.number}" for one in BROKEN])
def test_a_breach_fails_its_check_and_no_other(broken: Broken) -> None:
    """Each broken pack fails exactly the check that is meant for it, which says what is wrong."""
    failed = _failed(_checked(broken.archive()))
    assert failed.keys() == {broken.number}, failed
    assert broken.says in failed[broken.number]


def test_a_sound_upgrade_passes() -> None:
    """From the version before, with documents migrated forward, back and forward again."""
    report = _checked(upgraded(_MIGRATE), before=sound())
    assert _failed(report) == {}
    assert report.checks[7].note == "from 1.0.0 to 1.1.0"


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('return {"times": lent, **document}', "1 / 0"),
        ('return {"lent": times, **document}', 'return {"lent": 0, **document}'),
        ('return {"lent": times, **document}', "raise ValueError('no way back')"),
    ],
    ids=["no way forward", "lossy", "no way back"],
)
def test_a_broken_migration_fails_the_upgrade_alone(broken: str, says: str) -> None:
    """Check 8, and no other, fails a version that cannot read the documents of the one before."""
    migrate = _MIGRATE.replace(broken, says)
    assert migrate != _MIGRATE
    failed = _failed(_checked(upgraded(migrate), before=sound()))
    assert failed.keys() == {8}, failed
    assert "from 1.0.0" in failed[8]


def test_a_timer_that_the_new_version_does_not_know_fails_the_upgrade() -> None:
    """What the old version scheduled has to find its method in the new one."""
    renamed = sound_changed(
        ("plugin.toml", 'version = "1.0.0"', 'version = "1.1.0"'),
        ("pack.py", '@on_timer("over"', '@on_timer("end"'),
    )
    assert _failed(_checked(renamed, before=sound())).keys() == {8}


def test_what_is_not_asked_for_fails_the_ninth_and_stops_the_rest() -> None:
    """A pack that pays without having asked for it does not get through its own story."""
    report = _checked(sound_changed(("plugin.toml", '["pay", ', "[")))
    assert not report.passed
    assert "asks for 'pay'" in _failed(report)[9]
    assert {one.result for one in report.checks if one.number != 9} == {Result.SKIPPED}


def test_a_story_that_is_wrong_is_told_and_nothing_is_checked() -> None:
    """What the story expects and does not get is named with the call and its answer."""
    wrong = sound_changed(
        ("samples/check.toml", 'expect = "insufficient_funds"', 'expect = "not_found"')
    )
    report = _checked(wrong)
    assert not report.passed
    assert "call 6 (lend) was to answer not_found: insufficient_funds" in report.story[0]
    assert {one.result for one in report.checks} == {Result.SKIPPED}
    assert "nothing could be checked" in next(iter(summary_lines(report)))


def test_a_failure_is_told_in_words() -> None:
    """The report names the check, what it proves, and the problem."""
    (broken,) = [one for one in BROKEN if one.number == 7]
    archive = broken.archive()
    checks = [one for one in CHECKS if one.number == 7]
    report = run_checks(archive, story_of(archive), checks, SystemClock())
    lines = "\n".join(check_lines(report.checks[0]))
    assert "no object of it stays in memory. It does not hold:" in lines
    assert "copyreg" in lines or "held by" in lines
    assert "1 of 1 checks failed: 7" in "\n".join(summary_lines(report))
