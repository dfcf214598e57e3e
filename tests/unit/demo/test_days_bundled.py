"""The days that come with packs: found, in order, and read in whatever shape they have."""

import json
from collections import Counter, defaultdict
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from zhihui.cli import app
from zhihui.demo import playable
from zhihui.demo.day import load_day
from zhihui.demo.days.bundled import bundled_days
from zhihui.demo.days.manifest import AccountEnd
from zhihui.demo.days.shapes import read_manifest
from zhihui.demo.run import playable_at

_COMMON = {"name": "n", "app": "a", "messages": 1, "setup_messages": 0, "outcomes": {}}


def test_the_city_is_played_before_the_date_is_moved() -> None:
    """Channels refuse messages of another date, so all days that move it come after the city."""
    names = playable()
    assert names[:4] == ("parking", "city", "wholesale_market", "campus")
    for name in names[: names.index("city")]:
        manifest = load_day(bundled_days()[name]).manifest
        assert manifest.begins is None
        assert not any(phase.advance_s for phase in manifest.phases)


def test_the_city_is_left_out_where_the_date_was_moved() -> None:
    """On data of a run before, all days but the city are played, and by themselves as well."""
    assert playable_at(timedelta(0), playable()) == playable()
    left = playable_at(timedelta(seconds=1), playable())
    assert set(playable()) - set(left) == {"city"}
    assert playable_at(timedelta(days=400), ("city",)) == ()


@pytest.mark.parametrize("name", sorted(bundled_days()))
def test_a_bundled_day_says_what_must_come_of_all_its_lines(name: str) -> None:
    """Each line is in one phase, the manifest counts its outcome, and its accounts are opened."""
    day = load_day(bundled_days()[name])
    manifest = day.manifest
    phased = [day.of_phase(number) for number in range(len(manifest.phases))]
    assert sum(len(lines) for lines in phased) == len(day.lines) == manifest.messages_in_all
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in day.lines:
        counts[line.subject_tail][line.expect] += 1
    assert counts == manifest.outcomes
    opened = {line.defines for line in day.lines if line.defines}
    assert manifest.accounts.keys() <= opened
    assert len(manifest.figures()["balances"]) >= 8


def test_balances_and_holds_by_names_of_accounts_are_read() -> None:
    """The shape for new packs: balances, what is held of some, phases and a beginning."""
    manifest = read_manifest(
        json.dumps(
            {
                **_COMMON,
                "balances": {"@acct:x": 5, "@acct:y": 0},
                "held": {"@acct:x": 2},
                "phases": [{"name": "Trade", "advance_s": 60}],
                "begins": {"weekday": "Monday", "at": "02:30:00", "zone": "Asia/Shanghai"},
                "whatever": [1],
            }
        ).encode()
    )
    assert manifest.accounts == {
        "@acct:x": AccountEnd(balance_minor=5, held_minor=2),
        "@acct:y": AccountEnd(balance_minor=0),
    }
    assert manifest.phases[0].advance_s == 60
    assert manifest.begins is not None
    assert manifest.debts is None
    assert manifest.figures() == {
        "balances": {"@acct:x": 5, "@acct:y": 0},
        "amounts held": {"@acct:x": 2, "@acct:y": 0},
    }


def test_lots_and_arrears_of_car_parks_are_read() -> None:
    """An operator's payments are the length of its statement; cars are asked what they owe."""
    lot = {"account": "@acct:lot:mall", "balance_minor": 7, "payments": 3}
    written = {**_COMMON, "lots": {"mall": lot}, "arrears": {"沪A1": 4}, "payments": 3}
    manifest = read_manifest(json.dumps(written).encode())
    assert manifest.figures() == {
        "balances": {"@acct:lot:mall": 7},
        "amounts held": {"@acct:lot:mall": 0},
        "statements": {"@acct:lot:mall": 3},
        "debts": {"沪A1": 4},
    }
    assert [phase.name for phase in manifest.phases] == ["Before the day", "The day"]
    assert manifest.payments == 3


def test_a_manifest_without_counts_is_refused() -> None:
    """What is no manifest is not taken for a day of which nothing is expected."""
    with pytest.raises(msgspec.ValidationError, match="outcomes"):
        read_manifest(b'{"name":"n","app":"a","messages":1,"setup_messages":0}')


def test_a_day_that_is_not_there_is_named(tmp_path: Path) -> None:
    """``--only`` with a wrong name says which there are, and nothing is started."""
    done = CliRunner().invoke(app, ["demo", "--only", "opera", "--data-dir", str(tmp_path / "d")])
    said = " ".join(done.output.split())
    assert done.exit_code == 2
    assert "there is no day opera" in said
    assert not (tmp_path / "d").exists()


def test_help_says_what_is_checked() -> None:
    """``zhihui demo --help`` names the days, the comparison and the exit codes."""
    done = CliRunner().invoke(app, ["demo", "--help"], env={"COLUMNS": "120"})
    said = " ".join(done.output.replace("│", " ").split())
    for words in ("--only", "wholesale_market", "every balance", "reconciled", "Exits with 0"):
        assert words in said
