"""Scenario files: what they may hold, and the line that is told when they are wrong."""

from pathlib import Path

import pytest

from loadtest import events
from loadtest.harness.plan import RunPlan
from loadtest.harness.plan_check import completed_plan
from loadtest.harness.problems import PlanUnusable, ScenarioUnusable
from loadtest.harness.scenario import Scenario, bundled_names, load_scenario

_GOOD = """
from loadtest import Flow, LoadShape, User, between, events, tag, task

app = "city-park"
defaults = {"users": 7, "spawn_rate": 2, "duration": "1m", "warmup": "0s"}
thresholds = ["p99<50ms"]


class Base(User):
    abstract = True
    wait_time = between(1, 2)


class Driver(Base):
    weight = 3

    @tag("exit")
    @task(3)
    async def exit_lot(self):
        pass

    @task
    async def look(self):
        pass


class Walker(Base):
    @task
    async def walk(self):
        pass


class Ask(Flow):
    service, verb = "account", "get"


@events.request.add_listener
def seen(**_):
    pass


async def setup(stage):
    return {}
"""


def _load(folder: Path, text: str) -> Scenario:
    path = folder / "scenario.py"
    path.write_text(text, "utf-8")
    return load_scenario(str(path))


def test_a_file_is_read_as_it_is_written(tmp_path: Path) -> None:
    """Users, flows, hooks, defaults and thresholds are found; imported ones are not."""
    scenario = _load(tmp_path, _GOOD)
    assert [one.__name__ for one in scenario.users] == ["Driver", "Walker"]
    assert [one.__name__ for one in scenario.flows] == ["Ask"]
    assert (scenario.app, scenario.shape) == ("city-park", None)
    assert scenario.setup is not None
    assert scenario.teardown is None
    assert bool(scenario.events.request)
    assert not events.request


def test_two_files_do_not_hear_of_each_others_hooks(tmp_path: Path) -> None:
    """Loading a file again gives it its hooks once."""
    first, second = _load(tmp_path, _GOOD), _load(tmp_path, _GOOD)
    heard: list[int] = []
    first.events.request.add_listener(lambda **_: heard.append(1))
    second.events.request.fire(name="a")
    assert heard == []


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    """Defaults fill what was left open, and thresholds of both count."""
    scenario = _load(tmp_path, _GOOD)
    plan = completed_plan(RunPlan(scenario="s"), scenario, shaped=False)
    assert (plan.users, plan.spawn_rate, plan.duration_s, plan.warmup_s) == (7, 2, 60, 0)
    assert (plan.app, plan.thresholds) == ("city-park", ("p99<50ms",))
    told = RunPlan(scenario="s", users=9, duration_s=3, thresholds=("rate>1",), app="mine")
    plan = completed_plan(told, scenario, shaped=False)
    assert (plan.users, plan.duration_s, plan.app) == (9, 3, "mine")
    assert plan.thresholds == ("p99<50ms", "rate>1")
    plan = completed_plan(RunPlan(scenario="s", arrivals="50"), scenario, shaped=False)
    assert (plan.users, plan.arrivals, plan.spawn_rate) == (None, "50", None)


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("def broken(:\n", 1, "SyntaxError|invalid syntax|expected"),
        ("import loadtest\n\nx = 1 / 0\n", 3, "ZeroDivisionError"),
        ("from loadtest import nothing\n", 1, "ImportError"),
        ("def f():\n    raise KeyError('k')\n\n\nf()\n", 2, "KeyError"),
        ("app = 7\n", 0, "app must be a str"),
        ("defaults = {'user': 3}\n", 0, "defaults has user"),
        ("defaults = {'duration': 'soon'}\n", 0, "no duration"),
        ("defaults = {'users': 'many'}\n", 0, "defaults"),
        ("from loadtest import User\nclass A(User):\n    weight = 0\n", 0, "weight"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    """What is wrong, in which file, and in which line where there is one."""
    with pytest.raises(ScenarioUnusable, match=says) as caught:
        _load(tmp_path, text)
    assert caught.value.line == line
    assert "scenario.py" in str(caught.value)


def test_a_file_that_is_not_there_names_the_bundled_ones() -> None:
    """An unknown name is answered with those that there are."""
    with pytest.raises(ScenarioUnusable, match="payments"):
        load_scenario("no_such_scenario")


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (RunPlan(scenario="s", tags=("nobody",)), "no task is left by the tags"),
        (RunPlan(scenario="s", users=-1), "users is -1"),
        (RunPlan(scenario="s", processes=0), "number of processes is 0"),
        (RunPlan(scenario="s", arrivals="5", spawn_rate=1.0), "spawn-rate"),
        (RunPlan(scenario="s", thresholds=("p98<1ms",)), "p98"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(tmp_path: Path, plan: RunPlan, says: str) -> None:
    """Contradictions and numbers that make no sense are said before anything is started."""
    with pytest.raises((PlanUnusable, ScenarioUnusable), match=says):
        completed_plan(plan, _load(tmp_path, _GOOD), shaped=False)


def test_a_file_without_flows_cannot_run_lean(tmp_path: Path) -> None:
    """The lean engine wants a Flow, and the users' engine a User."""
    only_users = _GOOD.replace("class Ask(Flow)", "class Ask")
    with pytest.raises(ScenarioUnusable, match="no class that is a Flow"):
        completed_plan(
            RunPlan(scenario="s", engine="lean"), _load(tmp_path, only_users), shaped=False
        )
    with pytest.raises(ScenarioUnusable, match="no class here is a User"):
        completed_plan(RunPlan(scenario="s"), _load(tmp_path, "app = 'x'"), shaped=False)


@pytest.mark.parametrize("name", bundled_names())
def test_the_bundled_scenarios_load(name: str) -> None:
    """What comes with the program is a scenario that can run."""
    scenario = load_scenario(name)
    completed_plan(RunPlan(scenario=name), scenario, shaped=scenario.shape is not None)
