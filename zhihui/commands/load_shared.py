"""What the commands of ``zhihui load`` share beside their options: their plan, their ending."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zhihui.commands.console import bad_input, errors, output
from zhihui.commands.load_options import plan_from

if TYPE_CHECKING:
    from loadtest.harness.plan import RunPlan

__all__ = ("EXIT_ABORTED", "plan_of", "run_judged", "say", "seconds_of", "write_json")

# No result that counts came of it.
_EXIT_INVALID = 91
EXIT_ABORTED = 105


def plan_of(given: Mapping[str, Any]) -> "RunPlan":
    """Return what all runs of a command have in common; exit with 2 for what cannot be read.

    ``given`` are options, as :func:`~zhihui.commands.load_options.plan_from` takes them.
    """
    from loadtest.harness.arrivals import parse_arrivals
    from loadtest.harness.problems import LoadError

    try:
        if given.get("arrivals") is not None:
            parse_arrivals(given["arrivals"])
        return plan_from(given)
    except LoadError as error:
        raise bad_input(str(error)) from None


def seconds_of(text: str) -> float:
    """Read 30s, 500ms, 2m or 1h; exit with 2 for what is no time."""
    from loadtest.harness.arrivals import parse_duration
    from loadtest.harness.problems import LoadError

    try:
        return parse_duration(text)
    except LoadError as error:
        raise bad_input(str(error)) from None


def say(text: str) -> None:
    """Tell how far it is."""
    output.print(text, style="dim", markup=False, highlight=False, soft_wrap=True)


def run_judged(function: Callable[[], Awaitable[int]]) -> int:
    """Run it and return its exit code; say what kept it from a result.

    Exits with 2 when an option or a scenario is wrong. Ctrl-C stops everything in order.
    """
    import anyio

    from loadtest.harness.problems import LoadError, RunFailed
    from loadtest.lean import LeanError
    from schemas.errors import ZhihuiError
    from zhihui.errors import ungrouped

    async def run() -> int:
        with ungrouped():
            return await function()

    try:
        return anyio.run(run, backend_options={"use_uvloop": True})
    except (RunFailed, ZhihuiError) as error:
        errors.print(
            f"zhihui: it came to no result: {error}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        return _EXIT_INVALID
    except (LoadError, LeanError) as error:
        raise bad_input(str(error)) from None
    except KeyboardInterrupt:
        return EXIT_ABORTED


def write_json(path: Path | None, document: object) -> None:
    """Write a document, if it is wanted."""
    if path is not None:
        import msgspec

        path.write_bytes(msgspec.json.format(msgspec.json.encode(document)) + b"\n")
        output.print(f"All figures: {path}", highlight=False, soft_wrap=True)
