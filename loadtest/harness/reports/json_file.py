"""A run as JSON: all of its result, for programs and for a later comparison."""

from pathlib import Path

import msgspec

from loadtest.harness.problems import PlanUnusable
from loadtest.harness.result import RESULT_VERSION, RunResult

__all__ = ("read_json", "write_json")


class _Versioned(msgspec.Struct, frozen=True):
    version: int


def write_json(result: RunResult, path: Path) -> None:
    """Write the result; the folder is made when it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(result) + b"\n")


def read_json(path: Path) -> RunResult:
    """Read a result; raise :class:`PlanUnusable` for what is no result, or a newer one."""
    try:
        content = path.read_bytes()
        found = msgspec.json.decode(content, type=_Versioned).version
        if found > RESULT_VERSION:
            raise PlanUnusable(
                f"{path} has a result of version {found}; this program reads up to "
                f"{RESULT_VERSION}: use a newer one"
            )
        return msgspec.json.decode(content, type=RunResult)
    except OSError as error:
        raise PlanUnusable(f"{path} cannot be read: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise PlanUnusable(f"{path} holds no result of a load run: {error}") from error
