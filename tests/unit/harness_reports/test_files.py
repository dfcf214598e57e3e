"""The files of a run for programs: CSV and JSON."""

import csv
from pathlib import Path

import msgspec
import pytest

from loadtest.harness.problems import PlanUnusable
from loadtest.harness.reports.csv_files import NAMES_FILE, SECONDS_FILE, write_csv
from loadtest.harness.reports.json_file import read_json, write_json
from loadtest.harness.result import PERCENTS, RESULT_VERSION
from tests.unit.harness_reports.sample_run import sample_result


def _lines(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_the_names_file_has_a_line_a_name_and_one_for_all(tmp_path: Path) -> None:
    """Every name has its counts and its three times; the total stands last."""
    result = sample_result(40, 100)
    assert [path.name for path in write_csv(result, tmp_path / "new")] == [NAMES_FILE, SECONDS_FILE]
    lines = _lines(tmp_path / "new" / NAMES_FILE)
    assert [line["name"] for line in lines] == [*(one.name for one in result.names), "Aggregated"]
    for field in ("scheduled", "sent", "ok", "rejected", "unknown"):
        assert sum(int(line[field]) for line in lines[:-1]) == int(lines[-1][field])
    pay = next(one for one in result.names if one.name == "pay")
    line = next(one for one in lines if one["name"] == "pay")
    assert float(line["response_p99_ms"]) == pytest.approx(pay.response.percentile_ms(99), abs=1e-4)
    assert float(line["service_mean_ms"]) == pytest.approx(pay.service.mean_ms, abs=1e-4)
    assert float(line["ok_per_second"]) == pytest.approx(pay.per_second, abs=1e-3)
    assert {f"lag_p{percent:g}_ms" for percent in PERCENTS} <= line.keys()


def test_a_percentile_without_samples_enough_is_empty(tmp_path: Path) -> None:
    """Nothing that was not measured looks like a zero."""
    write_csv(sample_result(20, 40), tmp_path)
    assert _lines(tmp_path / NAMES_FILE)[-1]["response_p99.99_ms"] == ""


def test_the_seconds_file_is_a_time_series(tmp_path: Path) -> None:
    """Every second has a line, and their requests add up to the run's."""
    result = sample_result(30, 100)
    write_csv(result, tmp_path)
    lines = _lines(tmp_path / SECONDS_FILE)
    assert [float(line["start_s"]) for line in lines] == [float(n) for n in range(30)]
    assert [line["phase"] for line in lines] == ["warm-up"] * 10 + ["steady"] * 20
    assert {line["measured"] for line in lines[:10]} == {"0"}
    assert sum(int(line["ok"]) for line in lines) == result.flow.counts.ok
    assert all(float(line["response_p99_ms"]) > 0 for line in lines)


@pytest.mark.parametrize("name", ["=1+1", "+x", "-x", "@x"])
def test_a_name_is_no_formula(tmp_path: Path, name: str) -> None:
    """A spreadsheet takes a name from a scenario for text."""
    result = sample_result(11, 4)
    named = msgspec.structs.replace(result.names[0], name=name)
    write_csv(msgspec.structs.replace(result, names=(named,)), tmp_path)
    assert _lines(tmp_path / NAMES_FILE)[0]["name"] == f"'{name}"


def test_a_result_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    """The JSON file has all of a result."""
    result = sample_result(20, 40)
    path = tmp_path / "new" / "run.json"
    write_json(result, path)
    assert read_json(path) == result


def test_a_result_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    """What a newer program wrote is not half understood."""
    path = tmp_path / "run.json"
    write_json(sample_result(11, 4, version=RESULT_VERSION + 1), path)
    with pytest.raises(PlanUnusable, match=f"version {RESULT_VERSION + 1}"):
        read_json(path)


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    """A file that is missing or holds something else is named."""
    path = tmp_path / "run.json"
    with pytest.raises(PlanUnusable, match=r"run\.json cannot be read"):
        read_json(path)
    path.write_text('{"version": 1}')
    with pytest.raises(PlanUnusable, match=r"run\.json holds no result"):
        read_json(path)
