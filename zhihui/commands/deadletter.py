"""``zhihui deadletter``: what could not be processed, and what is to become of it."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from zhihui.commands.addresses import nats_url_or_running, postgres_dsn_or_running
from zhihui.commands.console import DataDir, NatsUrl, PostgresDsn, bad_input, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from zhihui.commands.letter_box import Letter, LetterBox, Retried

__all__ = ("deadletters", "drop", "list_", "retry", "show")

deadletters = typer.Typer(
    name="deadletter",
    help="See what could not be processed, send it again, or drop it.",
    no_args_is_help=True,
)

_LIST_LIMIT = 50
# For all letters at once; more are for another run.
_ALL_LIMIT = 100_000
_REASON_SHOWN = 120

_Result = TypeVar("_Result")

_Id = Annotated[str, typer.Argument(metavar="ID", help="The letter, as `list` shows it.")]
_Ids = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="Letters, as `list` shows them.")
]
_All = Annotated[bool, typer.Option("--all", help="All letters, or all of the app.")]
_App = Annotated[str, typer.Option("--app", help="Only those of this app.", show_default=False)]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
_Limit = Annotated[int, typer.Option("--limit", min=1, help="How many at most, oldest first.")]


@deadletters.command("list")
def list_(
    app: _App = "",
    limit: _Limit = _LIST_LIMIT,
    as_json: _Json = False,
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show dead letters, oldest first: published requests, and messages that made an actor fail."""

    async def look(box: "LetterBox") -> "list[Letter]":
        # One more, to know whether there are more.
        return await box.letters(app, limit + 1)

    letters = _with_box(look, nats_url, postgres_dsn, data_dir)
    shown = letters[:limit]
    if as_json:
        _print_json([_plain(letter) for letter in shown])
    elif shown:
        _print_table(shown)
        if len(letters) > limit:
            _say(f"These are the oldest {limit}; see more with --limit.")
    else:
        _say(f"No dead letters{f' of {app}' if app else ''}.")


@deadletters.command()
def show(
    letter_id: _Id,
    as_json: _Json = False,
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Show one dead letter with its reason and the message as it came."""

    async def look(box: "LetterBox") -> "list[Letter]":
        return await _found(box, [letter_id])

    (letter,) = _with_box(look, nats_url, postgres_dsn, data_dir)
    form, text = _readable(letter.body)
    if as_json:
        _print_json({**_plain(letter), "body_form": form, "body": text})
        return
    lines = {
        "id": letter.letter_id,
        "from": _SOURCES[letter.source],
        "at": letter.at.isoformat(),
        "app": letter.app,
        "operation": letter.operation,
        "attempts": str(letter.attempts),
        **letter.details,
        "code": letter.code,
    }
    width = max(map(len, lines))
    for name, value in lines.items():
        if value:
            _say(f"{name:<{width}}  {value}")
    _say(f"\n{letter.reason.rstrip()}\n")
    _say(f"The message, {len(letter.body)} bytes, as {form}:")
    _say(text)


@deadletters.command()
def retry(
    letter_ids: _Ids = None,
    everything: _All = False,
    app: _App = "",
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Send the messages of dead letters again; a letter goes when its message is safe elsewhere.

    Request ids see to it that what was done already is not done twice. Exits with 1 when a message
    is still a dead letter.
    """
    _check_choice(letter_ids, everything, app)

    async def again(box: "LetterBox") -> "list[Retried]":
        return [await box.retry(letter) for letter in await _chosen(box, letter_ids, app)]

    done = _with_box(again, nats_url, postgres_dsn, data_dir)
    for one in done:
        _say(f"{one.letter_id}  {one.outcome}")
    if not done:
        _say("No dead letters, nothing to do.")
    if not all(one.settled for one in done):
        raise typer.Exit(1)


@deadletters.command()
def drop(
    letter_ids: _Ids = None,
    everything: _All = False,
    app: _App = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    nats_url: NatsUrl = "",
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Delete dead letters for good."""
    _check_choice(letter_ids, everything, app)

    async def count(box: "LetterBox") -> "list[Letter]":
        return await _chosen(box, letter_ids, app)

    chosen = _with_box(count, nats_url, postgres_dsn, data_dir)
    if not chosen:
        _say("No dead letters, nothing to do.")
        return
    if not yes:
        what = chosen[0].letter_id if len(chosen) == 1 else f"{len(chosen)} dead letters"
        typer.confirm(f"Delete {what} for good?", abort=True)

    async def delete(box: "LetterBox") -> None:
        for letter in chosen:
            await box.drop(letter)

    _with_box(delete, nats_url, postgres_dsn, data_dir)
    _say(f"Dropped {len(chosen)}.")


_SOURCES = {
    "intake": "the durable intake: a published request",
    "actor": "an actor that failed at it",
}


def _check_choice(letter_ids: list[str] | None, everything: bool, app: str) -> None:
    if bool(letter_ids) == everything:
        raise bad_input("name dead letters by their ids, or take --all")
    if app and not everything:
        raise bad_input("--app goes with --all")


async def _chosen(box: "LetterBox", letter_ids: list[str] | None, app: str) -> "list[Letter]":
    return await _found(box, letter_ids) if letter_ids else await box.letters(app, _ALL_LIMIT)


async def _found(box: "LetterBox", letter_ids: list[str]) -> "list[Letter]":
    """Return the letters of these ids; raise when one of them is not there."""
    from zhihui.errors import LetterUnknown

    letters = []
    for letter_id in letter_ids:
        letter = await box.letter(letter_id)
        if letter is None:
            raise LetterUnknown(
                f"there is no dead letter {letter_id!r}; see: zhihui deadletter list"
            )
        letters.append(letter)
    return letters


def _with_box(
    action: "Callable[[LetterBox], Awaitable[_Result]]",
    nats_url: str,
    postgres_dsn: str,
    data_dir: Path,
) -> _Result:
    """Return what the action returns, called with a letter box that is open meanwhile."""

    async def run() -> _Result:
        from schemas.errors import ZhihuiError
        from zhihui.access.settings import operator_security
        from zhihui.commands.letter_box import opened_letter_box
        from zhihui.errors import ServerUnreachable

        url = nats_url_or_running(nats_url, data_dir)
        dsn = postgres_dsn_or_running(postgres_dsn, data_dir)
        try:
            async with opened_letter_box(url, dsn, operator_security(url)) as box:
                return await action(box)
        except ZhihuiError as error:
            raise ServerUnreachable(error.message) from error

    return run_async(run)


def _print_table(letters: "list[Letter]") -> None:
    from rich.markup import escape
    from rich.table import Table

    from kernel.clock import SystemClock

    table = Table()
    for column in ("id", "age", "app", "operation", "attempts", "reason"):
        table.add_column(column, overflow="fold")
    now = SystemClock().now()
    for letter in letters:
        # The last line of a traceback is what went wrong.
        reason = letter.reason.rstrip().rpartition("\n")[2][:_REASON_SHOWN]
        table.add_row(
            escape(letter.letter_id),
            _age((now - letter.at).total_seconds()),
            escape(letter.app),
            escape(letter.operation),
            str(letter.attempts),
            escape(f"{letter.code}: {reason}"),
        )
    output.print(table)


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _plain(letter: "Letter") -> dict[str, Any]:
    return {
        "id": letter.letter_id,
        "source": letter.source,
        "at": letter.at.isoformat(),
        "app": letter.app,
        "operation": letter.operation,
        "code": letter.code,
        "reason": letter.reason,
        "attempts": letter.attempts,
        **{name.replace(" ", "_"): value for name, value in letter.details.items()},
    }


def _readable(body: bytes) -> tuple[str, str]:
    """Return the form of a message and its text: JSON, msgpack shown as JSON, or hex."""
    import msgspec

    try:
        return "JSON", _json_text(json.loads(body))
    except (ValueError, RecursionError):
        pass
    try:
        return "msgpack", _json_text(msgspec.to_builtins(msgspec.msgpack.decode(body)))
    except (msgspec.MsgspecError, TypeError, ValueError, RecursionError):
        return "hex", body.hex(" ")


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2, default=repr)


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def _say(text: str) -> None:
    output.print(text, markup=False, highlight=False, soft_wrap=True)
