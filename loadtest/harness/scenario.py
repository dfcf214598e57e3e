"""A scenario file: loaded, and checked for what it must hold.

At its top level a file may have, beside its classes::

    app = "city-park"                         the app whose backend the load is; "load" otherwise
    defaults = {"users": 50, "duration": "1m", "arrivals": "ramp:10-200:30s"}
    thresholds = ["p99<50ms", "error_rate<0.1%"]
    async def setup(stage): …                 once before the load; returns plain JSON values
    async def teardown(stage): …              once after it

What stands on the command line wins over ``defaults``; thresholds of both count.
"""

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from loadtest.harness.arrivals import parse_duration
from loadtest.harness.events import Events, events
from loadtest.harness.flows import Flow
from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable, RunFailed, ScenarioUnusable
from loadtest.harness.shapes import LoadShape, RateShape
from loadtest.harness.stage import Stage
from loadtest.harness.users import User, tasks_of
from schemas.errors import ZhihuiError

__all__ = ("BUNDLED", "Scenario", "bundled_names", "find_scenario", "load_scenario", "set_up")

BUNDLED = Path(__file__).parent.parent / "scenarios"

_DEFAULT_APP = "load"

# Opening some hundred thousand accounts through the public interface.
_SETUP_S_MAX = 300.0

# What an option left out looks like, so that the command line wins whenever it says something.
_DEFAULTS = ("arrivals", "duration", "poisson", "spawn_rate", "users", "warmup")
_TIMES = ("duration", "warmup")


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """What a file holds."""

    path: str
    app: str
    defaults: dict[str, Any]
    thresholds: tuple[str, ...]
    users: tuple[type[User], ...]
    flows: tuple[type[Flow], ...]
    shape: type[LoadShape] | type[RateShape] | None
    setup: Callable[[Stage], Awaitable[object]] | None
    teardown: Callable[[Stage], Awaitable[object]] | None
    events: Events

    def completed(self, plan: RunPlan) -> RunPlan:
        """Return the plan with what it left open taken from the file."""
        given = {name: value for name, value in self.defaults.items() if _is_open(plan, name)}
        if plan.arrivals is not None:
            given.pop("users", None)
            given.pop("spawn_rate", None)
        if plan.users is not None:
            given.pop("arrivals", None)
        changed = msgspec.structs.replace(plan, **given)
        return msgspec.structs.replace(
            changed,
            app=plan.app or self.app,
            thresholds=tuple(dict.fromkeys((*self.thresholds, *plan.thresholds))),
        )

    def check(self, plan: RunPlan) -> None:
        """Raise unless the file has what the plan wants of it."""
        if plan.engine == "lean":
            if not self.flows:
                raise ScenarioUnusable(
                    "the lean engine sends flows, and the file has no class that is a Flow; leave "
                    "--engine lean out to run its users",
                    path=self.path,
                )
            return
        if not self.users:
            hint = "; its flows run with --engine lean" if self.flows else ""
            raise ScenarioUnusable(f"no class here is a User{hint}", path=self.path)
        if not any(self._tasks(one, plan) for one in self.users):
            raise ScenarioUnusable(
                "no task is left" + (" by the tags given" if plan.tags or plan.exclude_tags else "")
                + ": mark what users do with @task",
                path=self.path,
            )  # fmt: skip

    def _tasks(self, user: type[User], plan: RunPlan) -> bool:
        return bool(tasks_of(user, tags=plan.tags, exclude_tags=plan.exclude_tags))


def _is_open(plan: RunPlan, name: str) -> bool:
    default = next(f.default for f in msgspec.structs.fields(RunPlan) if f.name == name)
    return bool(getattr(plan, name) == default)


def bundled_names() -> list[str]:
    """Return the names of the scenarios that come with the program."""
    return sorted(path.stem for path in BUNDLED.glob("*.py") if not path.stem.startswith("_"))


def find_scenario(name: str) -> Path:
    """Return the path of a file, or of the bundled scenario of that name."""
    path = Path(name)
    if path.is_file():
        return path
    if name in bundled_names():
        return BUNDLED / f"{name}.py"
    raise ScenarioUnusable(
        f"there is no scenario file {name!r}; bundled ones: {', '.join(bundled_names())}"
    )


def load_scenario(name: str) -> Scenario:
    """Load a file, or the bundled scenario of that name.

    Raise :class:`ScenarioUnusable`, with the line, when it cannot be read or is not as it must be.
    """
    path = find_scenario(name)
    module, taken = _executed(path)
    own = [one for one in vars(module).values() if _is_own(one, module)]
    users = tuple(one for one in own if issubclass(one, User) and not one.abstract)
    for one in users:
        if not isinstance(one.weight, int) or one.weight < 1:
            raise _unusable(path, f"{one.__name__}.weight is {one.weight!r}: 1 is the least")
    shapes = [one for one in own if issubclass(one, LoadShape | RateShape)]
    if len(shapes) > 1:
        raise _unusable(path, f"{len(shapes)} shapes are one too many: a run follows one")
    return Scenario(
        path=str(path),
        app=_typed(path, module, "app", str, _DEFAULT_APP),
        defaults=_defaults(path, _typed(path, module, "defaults", dict, {})),
        thresholds=tuple(_typed(path, module, "thresholds", list, [])),
        users=users,
        flows=tuple(one for one in own if issubclass(one, Flow)),
        shape=shapes[0] if shapes else None,
        setup=getattr(module, "setup", None),
        teardown=getattr(module, "teardown", None),
        events=taken,
    )


async def set_up(scenario: Scenario, stage: Stage) -> object:
    """Run the scenario's ``setup`` and return what it returned.

    Raise :class:`RunFailed` when the service refuses, :class:`ScenarioUnusable` when it is wrong.
    """
    if scenario.setup is None:
        return None
    path = Path(scenario.path)
    try:
        async with asyncio.timeout(_SETUP_S_MAX):
            data = await scenario.setup(stage)
    except ZhihuiError as error:
        raise RunFailed(f"the setup of {path} was answered {error.code}: {error}") from error
    except Exception as error:
        raise _unusable(
            path, f"setup: {type(error).__name__}: {error}", _line_of(error, str(path))
        ) from error
    try:
        msgspec.msgpack.encode(data)
    except TypeError as error:
        raise _unusable(
            path, f"setup returned what cannot be sent to other processes: {error}"
        ) from error
    return data


def _is_own(one: object, module: ModuleType) -> bool:
    return isinstance(one, type) and one.__module__ == module.__name__


def _executed(path: Path) -> tuple[ModuleType, Events]:
    try:
        source = path.read_bytes()
        code = compile(source, str(path), "exec")
    except SyntaxError as error:
        raise _unusable(path, f"{error.msg}", error.lineno or 0) from error
    except (OSError, ValueError) as error:
        raise _unusable(path, f"it cannot be read: {error}") from error
    module = ModuleType(f"_scenario_{path.stem}")
    module.__file__ = str(path)
    # Annotations of classes and pickling look a module up by its name.
    sys.modules[module.__name__] = module
    events.taken()
    beside = str(path.parent.absolute())
    sys.path.insert(0, beside)
    try:
        exec(code, module.__dict__)  # noqa: S102 - running the author's own file is the point
    except Exception as error:
        raise _unusable(
            path, f"{type(error).__name__}: {error}", _line_of(error, str(path))
        ) from error
    finally:
        sys.path.remove(beside)
    return module, events.taken()


def _line_of(error: Exception, path: str) -> int:
    frames = traceback.extract_tb(error.__traceback__)
    return next((one.lineno or 0 for one in reversed(frames) if one.filename == path), 0)


def _typed(path: Path, module: ModuleType, name: str, kind: type, default: Any) -> Any:
    value = getattr(module, name, default)
    if not isinstance(value, kind):
        raise _unusable(path, f"{name} must be a {kind.__name__}, not {value!r}")
    return value


def _defaults(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := sorted(set(given) - set(_DEFAULTS)):
        raise _unusable(
            path, f"defaults has {', '.join(unknown)}; there are {', '.join(_DEFAULTS)}"
        )
    try:
        read = {
            f"{name}_s" if name in _TIMES else name: parse_duration(str(value))
            if name in _TIMES
            else value
            for name, value in given.items()
        }
        msgspec.convert({"scenario": "", **read}, RunPlan)
    except (PlanUnusable, msgspec.ValidationError) as error:
        raise _unusable(path, f"defaults: {error}") from error
    return read


def _unusable(path: Path, message: str, line: int = 0) -> ScenarioUnusable:
    return ScenarioUnusable(message, path=str(path), line=line)
