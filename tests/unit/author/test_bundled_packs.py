"""The packs that come with the program pass the checks that others have to pass."""

import pytest

from kernel.clock import SystemClock
from kernel.plugins.archive import pack_folder
from tests.tidy.source import ROOT
from zhihui.author.checks import CHECKS, Result, run_checks
from zhihui.author.story import read_story


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["parking", "campus", "wholesale_market"])
def test_a_bundled_pack_passes(name: str) -> None:
    """Duplicates, crashes, upgrades and the rest leave its documents and the money as they were."""
    archive = pack_folder(ROOT / "plugins" / name)
    path = ROOT / "plugins" / name / "samples" / "check.toml"
    story = read_story(path.read_bytes(), archive.manifest, path.name)
    report = run_checks(archive, story, CHECKS, SystemClock())
    assert report.story == ()
    failed = {one.name: one.problems for one in report.checks if one.result is Result.FAILED}
    assert failed == {}
    skipped = {one.name for one in report.checks if one.result is Result.SKIPPED}
    assert skipped == set()
