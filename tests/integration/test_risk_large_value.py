"""The large-value report against a day written by hand, on a real Postgres."""

import asyncio
import csv
from datetime import date
from pathlib import Path

import asyncpg
import pytest
from typer.testing import CliRunner

from zhihui.commands.large_value_report import PartyTotal, collect, report_csv
from zhihui.commands.risk import risk

_DAY = date(2026, 11, 25)

# Li Lei pays 200,000 and 300,000 yuan in one day, the second past midnight in UTC; Han Mei a fen
# less than he in all; the firm 2,000,000, of which a hold is a part; the shop, which is a merchant,
# receives what they pay. Before midnight and after it in Shanghai there is more, of other days.
_BOOKS = """
INSERT INTO zhihui.account VALUES
    ('li-1', 0, 'mall', '李雷', 'customer', 'CNY', 0, NULL, 'open', now(), 'cust-li', 'II'),
    ('li-2', 0, 'mall', '李雷', 'customer', 'CNY', 0, NULL, 'open', now(), 'cust-li', 'III'),
    ('han', 0, 'mall', '韩梅梅', 'customer', 'CNY', 0, NULL, 'open', now(), 'cust-han', 'II'),
    ('firm', 0, 'mall', '长城贸易有限公司', 'corporate', 'CNY', 0, NULL, 'open', now(),
     'cust-firm', ''),
    ('stall', 0, 'mall', '=王记', 'merchant', 'CNY', 0, NULL, 'open', now(), '', ''),
    ('points', 0, 'mall', '李雷', 'customer', 'POINTS', 0, NULL, 'open', now(), 'cust-li', '');
INSERT INTO zhihui.change
SELECT 'mall', 'r' || seq, seq, 'payment.create', '\\x00', 'committed', '{}', at::timestamptz
  FROM (VALUES (1, '2026-11-24 23:59:59.999999+08'), (2, '2026-11-25 00:00:00+08'),
               (3, '2026-11-25 09:00:00+08'), (4, '2026-11-25 23:59:59.999999+08'),
               (5, '2026-11-26 00:00:00+08')) AS v(seq, at);
INSERT INTO zhihui.payment VALUES
    ('p1', 1, 'mall', 'r1', 'quick', 'succeeded', 'li-1', 'stall', 90000000, 'CNY', '', now()),
    ('p2', 2, 'mall', 'r2', 'quick', 'succeeded', 'li-1', 'stall', 20000000, 'CNY', '', now()),
    ('p3', 4, 'mall', 'r4', 'quick', 'succeeded', 'li-2', 'stall', 30000000, 'CNY', '', now()),
    ('p4', 3, 'mall', 'r3', 'quick', 'succeeded', 'han', 'stall', 49999999, 'CNY', '', now()),
    ('p5', 5, 'mall', 'r5', 'quick', 'succeeded', 'han', 'stall', 90000000, 'CNY', '', now()),
    -- Between his own accounts: not reported.
    ('p6', 3, 'mall', 'r3', 'quick', 'succeeded', 'li-1', 'li-2', 80000000, 'CNY', '', now()),
    -- What it moved stands in transfer and hold_step.
    ('p7', 3, 'mall', 'r3', 'guaranteed', 'order', 'firm', 'stall', 200000000, 'CNY', '', now());
INSERT INTO zhihui.transfer VALUES
    (3, 0, 'firm', 'escrow:guaranteed', 150000000, 'CNY', 'payment.create'),
    -- The bank's own charge, and what is no money.
    (3, 1, 'han', 'income:merchant_fee', 100, 'CNY', 'fee'),
    (3, 2, 'points', 'points:redeemed', 99000000, 'POINTS', 'points');
INSERT INTO zhihui.hold VALUES
    ('h1', 3, 'mall', 'firm', 'stall', 'CNY', 'hold', true, '', 60000000, now(), NULL, 50000000,
     10000000, 'captured', 3);
INSERT INTO zhihui.hold_step VALUES
    ('h1', 1, 3, 'placed', 60000000, ''), ('h1', 2, 3, 'captured', 50000000, 'stall'),
    ('h1', 3, 3, 'released', 10000000, '');
INSERT INTO zhihui.deposit VALUES
    ('d1', 3, 'mall', 'han', 'external:cash', 5000000, 'CNY', now()),
    ('d2', 3, 'mall', 'stall', 'external:cash', 4999999, 'CNY', now()),
    ('d3', 3, 'mall', 'han', 'external:unionpay', 49999999, 'CNY', now());
"""


async def _write(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_BOOKS)
    finally:
        await connection.close()


@pytest.fixture
def books_dsn(postgres_dsn: str) -> str:
    """A database with the day in it."""
    asyncio.run(_write(postgres_dsn))
    return postgres_dsn


async def _collected(dsn: str, day: date) -> list[PartyTotal]:
    connection = await asyncpg.connect(dsn)
    try:
        return await collect(connection.fetch, day)
    finally:
        await connection.close()


def test_a_day_is_summed_by_party_and_direction(books_dsn: str) -> None:
    """Whoever reaches a threshold in a day of Shanghai is there once, with the whole sum."""
    found = [
        (one.party, one.kind, one.direction, one.what, one.moves, one.total_minor)
        for one in asyncio.run(_collected(books_dsn, _DAY))
    ]
    assert found == [
        ("cust-firm", "company", "out", "transfer", 2, 200_000_000),
        ("cust-han", "person", "in", "cash", 1, 5_000_000),
        ("cust-li", "person", "out", "transfer", 2, 50_000_000),
    ]
    before = [(one.party, one.total_minor) for one in asyncio.run(_collected(
        books_dsn, date(2026, 11, 24)
    ))]  # fmt: skip
    assert before == [("cust-li", 90_000_000)]


def test_the_command_writes_the_file(books_dsn: str, tmp_path: Path) -> None:
    """Persons are masked, companies named, amounts in yuan, and the day of filing in each line."""
    out = tmp_path / "large.csv"
    result = CliRunner().invoke(
        risk,
        ["large-value", "--day", "2026-11-25", "--out", str(out), "--unfinished",
         "--postgres-dsn", books_dsn],
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"3 to report for 2026-11-25, due on 2026-12-02: {out}" in result.output
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    with out.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    assert [(one["name"], one["total_yuan"], one["threshold_yuan"]) for one in lines] == [
        ("长城贸易有限公司", "2000000.00", "2000000.00"),
        ("韩*", "50000.00", "50000.00"),
        ("李*", "500000.00", "500000.00"),
    ]
    assert {(one["day"], one["due"]) for one in lines} == {("2026-11-25", "2026-12-02")}
    assert list(tmp_path.iterdir()) == [out]


def test_a_day_that_is_not_over_is_not_filed(tmp_path: Path) -> None:
    """A report of a day that goes on would miss what is still to come."""
    out = tmp_path / "large.csv"
    result = CliRunner().invoke(risk, ["large-value", "--day", "2100-01-01", "--out", str(out)])
    assert result.exit_code == 2
    assert not out.exists()


def test_an_empty_report_is_a_file_with_a_header() -> None:
    """Nothing to report is a statement, too."""
    (header,) = report_csv([], _DAY).splitlines()
    assert header.startswith("day,due,party,name,kind,direction,what")


def test_a_name_is_no_formula() -> None:
    """What a customer calls himself is text to every spreadsheet."""
    one = PartyTotal(
        party="p", name="=1+1", kind="company", direction="in", what="transfer", moves=1,
        total_minor=200_000_005, largest_minor=200_000_005,
    )  # fmt: skip
    (_, line) = csv.reader(report_csv([one], _DAY).splitlines())
    assert line[3] == "'=1+1"
    assert line[8] == "2000000.05"


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_rules_are_checked_before_they_are_put(tmp_path: Path, suffix: str) -> None:
    """A sound file is told so, and becomes the body of the operation that puts it."""
    text = {
        ".toml": 'version = 1\nrules = [{id = "a", kind = "amount", action = "review", '
        'reason = "a", above_minor = 5}]\n',
        ".json": '{"version": 1, "rules": [{"id": "a", "kind": "amount", "action": "review",'
        ' "reason": "a", "above_minor": 5}]}',
    }[suffix]
    file = tmp_path / f"rules{suffix}"
    file.write_text(text)
    result = CliRunner().invoke(risk, ["check", str(file)])
    assert (result.exit_code, "sound, 1 rules live" in result.output) == (0, True)
    body = CliRunner().invoke(risk, ["check", str(file), "--request-id", "r-1"]).output
    assert '"request_id": "r-1", "name": "risk"' in body
    file.write_text(text.replace("5", "0"))
    result = CliRunner().invoke(risk, ["check", str(file)])
    assert result.exit_code == 2
    assert "rule 'a'" in result.output
