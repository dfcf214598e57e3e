"""``zhihui risk``: the large-value report, and rule documents checked before they are put."""

import json
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zhihui.commands.addresses import reachable_postgres
from zhihui.commands.console import DataDir, PostgresDsn, bad_input, output, run_async
from zhihui.embedded.data_dir import DEFAULT_DATA_DIR
from zhihui.errors import MigrationFailed

if TYPE_CHECKING:
    from zhihui.commands.large_value_report import PartyTotal

__all__ = ("check", "large_value", "risk")

risk = typer.Typer(
    name="risk",
    help="Report large transactions, and check risk rules before they are put.",
    no_args_is_help=True,
)

# A whole day of a busy bank is read once; a report that takes longer is for another machine.
_QUERY_TIMEOUT_S = 600.0


@risk.command("large-value")
def large_value(
    day: Annotated[
        datetime,
        typer.Option("--day", formats=["%Y-%m-%d"], help="The day to report, in Asia/Shanghai."),
    ],
    out: Annotated[Path, typer.Option("--out", dir_okay=False, help="CSV file to write.")],
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Also a day that is not over: not for filing.")
    ] = False,
    postgres_dsn: PostgresDsn = "",
    data_dir: DataDir = DEFAULT_DATA_DIR,
) -> None:
    """Write who moved large amounts in a day (PBoC order 〔2016〕3), from the committed data.

    One line for each customer, direction and kind, with the day until which it has to be filed.
    Names of persons are masked. The file appears whole or not at all.
    """
    from actors.regulation.calendar import day_of
    from actors.regulation.large_value import LARGE_VALUE
    from kernel.clock import SystemClock
    from zhihui.commands.large_value_report import report_csv

    wanted = day.date()
    if not unfinished and wanted >= day_of(SystemClock().now()):
        raise bad_input(f"--day {wanted} is not over in Asia/Shanghai. Wait, or add --unfinished.")
    if not out.parent.is_dir():
        raise bad_input(f"--out {out}: there is no directory {out.parent}")
    totals = run_async(lambda: _collect(wanted, postgres_dsn, data_dir))
    _write_whole(out, report_csv(totals, wanted))
    output.print(
        f"{len(totals)} to report for {wanted}, due on {LARGE_VALUE.due(wanted)}: {out}",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip


async def _collect(day: date, postgres_dsn: str, data_dir: Path) -> "list[PartyTotal]":
    import asyncpg

    from zhihui.commands.large_value_report import collect
    from zhihui.migrate import pending_revisions

    async with reachable_postgres(postgres_dsn, data_dir) as dsn:
        if pending := await pending_revisions(dsn):
            raise MigrationFailed(
                f"the database is behind this program by revision {', '.join(pending)}. Run "
                "`zhihui migrate` first."
            )
        connection = await asyncpg.connect(dsn, command_timeout=_QUERY_TIMEOUT_S)
        try:
            return await collect(connection.fetch, day)
        finally:
            await connection.close()


def _write_whole(path: Path, text: str) -> None:
    # Spreadsheets take a file without the mark for one in the machine's own encoding.
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8-sig")
    partial.replace(path)


@risk.command("check")
def check(
    rules: Annotated[
        Path, typer.Argument(metavar="FILE", dir_okay=False, help="Rules as .toml or .json.")
    ],
    request_id: Annotated[
        str,
        typer.Option(
            "--request-id", help="Print the body of `rules.put` with this id.", show_default=False
        ),
    ] = "",
) -> None:
    """Check a rule document and name every problem in it; nothing is put.

    Exits with 0 when it is sound, with 2 when it is not.
    """
    import msgspec

    from actors.risk.rule_document import RulesRefused, parse_rules
    from actors.risk.rules_in_force import RISK_RULES

    try:
        text = rules.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise bad_input(f"{rules} cannot be read: {error}") from None
    try:
        sound = parse_rules(text, "json" if rules.suffix == ".json" else "toml")
    except RulesRefused as refused:
        for problem in refused.problems:
            output.print(problem, markup=False, highlight=False, soft_wrap=True)
        raise bad_input(f"{rules}: {len(refused.problems)} problems") from None
    if request_id:
        body = {"request_id": request_id, "name": RISK_RULES, "rules": msgspec.to_builtins(sound)}
        output.print(json.dumps(body), markup=False, highlight=False, soft_wrap=True)
        return
    stages = [rule.stage for rule in sound.rules]
    output.print(
        f"{rules}: sound, {stages.count('live')} rules live, {stages.count('shadow')} in shadow, "
        f"{stages.count('off')} off",
        markup=False, highlight=False, soft_wrap=True,
    )  # fmt: skip
