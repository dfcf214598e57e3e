"""``zhihui settlement``: statements and clearing totals as CSV."""

import csv
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO, TypeVar

import typer

from zhihui.commands.console import DataDir, NatsUrl, bad_input, errors, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR

if TYPE_CHECKING:
    from zhihui.client import Client

__all__ = ("clearing", "settlement", "statement")

settlement = typer.Typer(
    name="settlement",
    help="Write statements of merchants, and what each participant got.",
    no_args_is_help=True,
)

_Result = TypeVar("_Result")

_Day = Annotated[
    datetime,
    typer.Option("--day", formats=["%Y-%m-%d"], help="The day, in Asia/Shanghai."),
]
_Out = Annotated[Path, typer.Option("--out", dir_okay=False, help="CSV file to write.")]
_App = Annotated[
    str,
    typer.Option(
        "--app",
        help="Ask as this app, with the key that ZHIHUI_CREDENTIALS names; else as the back "
        "office.",
        show_default=False,
    ),
]

_STATEMENT_HEADER = (
    "settlement", "leg", "kind", "payment", "method", "app", "time", "gross_yuan", "fee_yuan",
    "shared_yuan", "net_yuan",
)  # fmt: skip
_CLEARING_HEADER = ("day", "app", "account", "role", "legs", "amount_yuan")

_PAGE = 1_000


@settlement.command()
def statement(
    merchant: Annotated[str, typer.Option("--merchant", help="The merchant's id.")],
    day: _Day,
    out: _Out,
    app: _App = "",
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write what a merchant's settlements of a day consist of, one line for each leg.

    The lines of a settlement add up to its net. The file appears whole or not at all.
    """
    asked = {"merchant_id": merchant, "day": day.date().isoformat()}

    async def write(client: "Client", sheet: _Sheet) -> tuple[int, int]:
        net = 0
        async for line in _lines(client, "statement", {**asked, "limit": _PAGE}, "lines"):
            net += line["net_minor"]
            sheet.write(
                line["settlement_id"], line["leg_id"], line["kind"], line["payment_id"],
                line["method"], line["app"], line["at"], _yuan(line["gross_minor"]),
                _yuan(line["fee_minor"]), _yuan(line["shared_minor"]), _yuan(line["net_minor"]),
            )  # fmt: skip
        paid = 0
        async for one in _lines(client, "list", asked, "settlements"):
            paid += one["payout_minor"]
        return net, paid

    lines, (net, paid) = _written(write, out, _STATEMENT_HEADER, app, nats_url, data_dir)
    _say(f"{lines} lines for {asked['day']}: net {_yuan(net)}, paid out {_yuan(paid)}: {out}")


@settlement.command()
def clearing(
    of_app: Annotated[str, typer.Option("--of", help="The app whose payments are cleared.")],
    day: _Day,
    out: _Out,
    app: _App = "",
    nats_url: NatsUrl = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write what each account got of an app's payments that were settled for a day (清分)."""
    asked = {"app": of_app, "day": day.date().isoformat()}

    async def write(client: "Client", sheet: _Sheet) -> int:
        total = 0
        async for line in _lines(client, "clearing", {**asked, "limit": _PAGE}, "lines"):
            total += line["amount_minor"]
            sheet.write(
                asked["day"], of_app, line["account_id"], line["role"], line["legs"],
                _yuan(line["amount_minor"]),
            )  # fmt: skip
        return total

    lines, total = _written(write, out, _CLEARING_HEADER, app, nats_url, data_dir)
    _say(f"{lines} lines for {asked['day']}: {_yuan(total)} in all: {out}")


class _Sheet:
    """A CSV file that is being written, line by line: a day of a large merchant fits no memory."""

    def __init__(self, file: TextIO, header: Sequence[str]) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(header)
        self.lines = 0

    def write(self, *cells: object) -> None:
        self._writer.writerow([_plain(cell) for cell in cells])
        self.lines += 1


def _written(
    write: "Callable[[Client, _Sheet], Awaitable[_Result]]",
    out: Path,
    header: Sequence[str],
    app: str,
    nats_url: str,
    data_dir: Path,
) -> tuple[int, _Result]:
    """Return the number of lines that were written, and what ``write`` returned."""
    from schemas.errors import Rejected, ZhihuiError
    from zhihui.errors import ServerUnreachable

    if not out.parent.is_dir():
        raise bad_input(f"--out {out}: there is no directory {out.parent}")
    partial = out.with_name(f".{out.name}.partial")

    async def ask(sheet: _Sheet) -> _Result:
        async with _client(app, nats_url, data_dir) as client:
            return await write(client, sheet)

    try:
        # Spreadsheets take a file without the mark for one in the machine's own encoding.
        with partial.open("w", encoding="utf-8-sig") as file:
            sheet = _Sheet(file, header)
            result = run_async(lambda: ask(sheet))
        partial.replace(out)
    except Rejected as error:
        errors.print(
            f"zhihui: {error.code}: {error.message}",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
        raise typer.Exit(1) from None
    except ZhihuiError as error:
        raise ServerUnreachable(error.message) from error
    finally:
        partial.unlink(missing_ok=True)
    return sheet.lines, result


def _client(app: str, nats_url: str, data_dir: Path) -> "Client":
    from zhihui.client import Client
    from zhihui.commands.addresses import nats_url_or_running
    from zhihui.commands.back_office import back_office

    if not app:
        return back_office(nats_url, data_dir)
    return Client(app=app, url=nats_url_or_running(nats_url, data_dir))


async def _lines(
    client: "Client", verb: str, body: dict[str, Any], name: str
) -> AsyncIterator[dict[str, Any]]:
    """Yield what all pages hold."""
    while True:
        page = await client.call("settlement", verb, body)
        for line in page[name]:
            yield line
        if page["next_after"] is None:
            return
        body = {**body, "after": page["next_after"]}


def _yuan(minor: int) -> str:
    sign = "-" if minor < 0 else ""
    return f"{sign}{abs(minor) // 100}.{abs(minor) % 100:02d}"


def _plain(cell: object) -> object:
    """Return a cell that no spreadsheet takes for a formula; identifiers begin with no sign."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "@")) else cell


def _say(text: str) -> None:
    output.print(text, markup=False, highlight=False, soft_wrap=True)
