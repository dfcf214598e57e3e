"""The proof of hot loading in small: its load, its versions and its judges on real servers."""

from pathlib import Path

import pytest

from loadtest.hotload import HotloadPlan, prove_hotload
from zhihui.commands.bench_hotload import hotload_tools

pytestmark = pytest.mark.anyio


@pytest.mark.timeout(180)
async def test_versions_come_and_go_under_load_and_nothing_goes_wrong(tmp_path: Path) -> None:
    """A plain version, a canary, one that crashes and one with a new form, under two nodes.

    Response times and memory say nothing in so short a run; all other verdicts must hold.
    """
    said: list[str] = []
    plan = HotloadPlan(cycles=4, seconds=14.0, rate=30.0, nodes=2, lanes=12, proves_memory=False)
    report = await prove_hotload(tmp_path, plan, hotload_tools(), say=said.append)
    verdicts = {one.claim: one for one in report.verdicts}
    judged = [one for claim, one in verdicts.items() if not claim.startswith("p99")]
    assert all(one.ok for one in judged), (judged, report.examples)
    assert len(judged) == 9
    assert report.requests > 300
    assert report.answers.no_choice > 200
    assert report.answers.resent
    assert [(one.way, one.mood) for one in report.cycles] == [
        ("promote", "well"), ("canary", "well"), ("bad", "crashes"), ("migrate", "well"),
    ]  # fmt: skip
    assert report.cycles[2].rollback_s > 0
    assert "crashes" in "".join(said)
