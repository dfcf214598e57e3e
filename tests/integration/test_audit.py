"""The audit against a small ledger written by hand: whole, and damaged in every way it knows."""

import io

import asyncpg
import pytest
from rich.console import Console

from tests.audit_holds import HOLD_CORRUPTIONS, HOLDS, Corruption
from tests.audit_ledger import CORRUPTIONS, LEDGER
from tests.audit_service_damage import SERVICE_CORRUPTIONS
from tests.audit_services import SERVICES
from zhihui.audit import AuditReport, Holding, print_report, run_audit
from zhihui.audit.checks import CHECKS

pytestmark = pytest.mark.anyio


async def _execute(dsn: str, *scripts: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for script in scripts:
            await connection.execute(script)
    finally:
        await connection.close()


async def _damage(dsn: str, sql: str, *more: str) -> None:
    # The role of a replica fires no triggers: the only way to write what the database refuses.
    await _execute(dsn, LEDGER, *more, "SET session_replication_role = replica", sql)


def _named(report: AuditReport) -> dict[str, tuple[str, ...]]:
    return {
        check.name: tuple(sorted(offence.row for offence in check.offences))
        for check in report.checks
        if not check.ok
    }


async def test_an_empty_database_holds(postgres_dsn: str) -> None:
    """A database that was only migrated passes every check, over no entries."""
    report = await run_audit(postgres_dsn)
    assert report.ok
    assert [check.name for check in report.checks] == [check.name for check in CHECKS]
    assert report.totals.entries == 0


async def test_a_correct_ledger_holds_and_is_counted(postgres_dsn: str) -> None:
    """A correct ledger passes, and the report says how much there is of everything."""
    await _execute(postgres_dsn, LEDGER)
    report = await run_audit(postgres_dsn)
    assert _named(report) == {}
    assert report.ok
    own = [one for one in report.totals.holdings if one.type == "internal"]
    assert report.totals.accounts == 4 + 6 + sum(one.accounts for one in own)
    assert {one.posted_minor for one in own} == {0}
    assert (report.totals.payments, report.totals.deposits) == (3, 2)
    assert (report.totals.entries, report.totals.events) == (10, 10)
    assert (report.totals.changes_committed, report.totals.changes_rejected) == (9, 2)
    assert tuple(one for one in report.totals.holdings if one not in own) == (
        Holding(type="customer", asset="CNY", accounts=3, posted_minor=13_400),
        Holding(type="external", asset="CNY", accounts=6, posted_minor=-15_000),
        Holding(type="merchant", asset="CNY", accounts=1, posted_minor=1_600),
    )
    rows = {check.name: check.rows for check in report.checks}
    assert rows["entry_chain"] == 10
    assert rows["changes_committed"] == 10 + 3 + 2 + 10 + report.totals.accounts + 2


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
async def test_damage_is_found_and_named(postgres_dsn: str, corruption: Corruption) -> None:
    """Each kind of damage fails exactly the checks that speak of it, with its rows named."""
    await _damage(postgres_dsn, corruption.sql)
    report = await run_audit(postgres_dsn)
    assert not report.ok
    assert _named(report) == corruption.named


def test_every_check_can_fail() -> None:
    """No check is without a kind of damage that it alone or with others finds."""
    corruptions = (*CORRUPTIONS, *HOLD_CORRUPTIONS, *SERVICE_CORRUPTIONS)
    found = {name for corruption in corruptions for name in corruption.named}
    assert found == {check.name for check in CHECKS}


async def test_an_offence_says_what_was_found_and_expected(postgres_dsn: str) -> None:
    """An offending row comes with its account, its change, what was found and what was expected."""
    await _damage(
        postgres_dsn,
        "UPDATE zhihui.entry SET balance_after_minor = 8999"
        " WHERE account_id = 'anna' AND number = 2",
    )
    report = await run_audit(postgres_dsn)
    (check,) = (check for check in report.checks if not check.ok)
    (offence,) = check.offences
    assert (offence.account_id, offence.change_seq) == ("anna", 7)
    assert offence.found == "amount -1000, balance after 8999"
    assert offence.expected == "balance after 9000"


async def test_a_correct_ledger_with_holds_holds(postgres_dsn: str) -> None:
    """Holds in every status, frozen and closed accounts and a transfer pass as well."""
    await _execute(postgres_dsn, LEDGER, HOLDS)
    report = await run_audit(postgres_dsn)
    assert _named(report) == {}
    assert report.totals.holds == 6
    rows = {check.name: check.rows for check in report.checks}
    assert rows["hold_steps"] == 6 + 12


@pytest.mark.parametrize("corruption", HOLD_CORRUPTIONS, ids=lambda corruption: corruption.name)
async def test_damage_to_holds_is_found_and_named(
    postgres_dsn: str, corruption: Corruption
) -> None:
    """Each kind of damage to holds and statuses fails exactly the checks that speak of it."""
    await _damage(postgres_dsn, corruption.sql, HOLDS)
    report = await run_audit(postgres_dsn)
    assert _named(report) == corruption.named


async def test_a_correct_ledger_with_services_holds(postgres_dsn: str) -> None:
    """A day of every service passes all checks, and each of them has rows to look at."""
    await _execute(postgres_dsn, LEDGER, SERVICES)
    report = await run_audit(postgres_dsn)
    assert _named(report) == {}
    assert [check.name for check in report.checks if check.rows == 0] == []
    assert (report.totals.changes_committed, report.totals.changes_rejected) == (9 + 44, 2 + 1)


@pytest.mark.parametrize("corruption", SERVICE_CORRUPTIONS, ids=lambda corruption: corruption.name)
async def test_damage_to_services_is_found_and_named(
    postgres_dsn: str, corruption: Corruption
) -> None:
    """Each kind of damage to the services' rows fails exactly the checks that speak of it."""
    await _damage(postgres_dsn, corruption.sql, SERVICES)
    report = await run_audit(postgres_dsn)
    assert _named(report) == corruption.named


async def test_many_offences_are_counted_and_the_first_named(postgres_dsn: str) -> None:
    """Damage without end is counted in full, while only the first 20 rows are named."""
    await _damage(
        postgres_dsn,
        "INSERT INTO zhihui.balance SELECT 'ghost-' || n, 0, 0 FROM generate_series(1, 50) AS n",
    )
    report = await run_audit(postgres_dsn)
    (check,) = (check for check in report.checks if not check.ok)
    assert check.offending == 50
    assert len(check.offences) == 20


async def test_huge_numbers_are_reported_and_do_not_overflow(postgres_dsn: str) -> None:
    """Rows at the ends of a bigint are offences like others: the audit itself does not fail."""
    await _damage(
        postgres_dsn,
        f"UPDATE zhihui.entry SET amount_minor = {2**63 - 1},"
        f" balance_after_minor = {2**63 - 1} WHERE account_id = 'mall'",
    )
    report = await run_audit(postgres_dsn)
    assert {"asset_totals", "entry_chain", "balance_sums"} <= _named(report).keys()


async def test_the_report_prints_every_claim_and_every_named_row(postgres_dsn: str) -> None:
    """The printed report shows each claim, and for a failing one the rows with both values."""
    await _damage(
        postgres_dsn, "UPDATE zhihui.balance SET posted_minor = 9001 WHERE account_id = 'anna'"
    )
    output = io.StringIO()
    print_report(await run_audit(postgres_dsn), Console(file=output, width=200))
    text = output.getvalue()
    for check in CHECKS:
        assert check.claim in text
    assert "balance of anna" in text
    assert "posted 9001, entries 2" in text
    assert "sum 9000, count 2, highest number 2" in text
    assert "The audit failed: balance_sums." in text
    assert "-150.00 CNY" in text


@pytest.mark.parametrize(
    "table", ["entry", "change", "event", "hold_step", "transfer", "account_status"]
)
@pytest.mark.parametrize(
    "statement",
    ["UPDATE zhihui.{} SET {} = {}", "DELETE FROM zhihui.{}", "TRUNCATE zhihui.{}"],
    ids=["update", "delete", "truncate"],
)
async def test_the_database_refuses_to_rewrite_history(
    postgres_dsn: str, table: str, statement: str
) -> None:
    """Entries, changes, events and steps can be neither updated nor deleted nor truncated."""
    await _execute(postgres_dsn, LEDGER, HOLDS)
    column = "seq" if table in ("change", "event") else "change_seq"
    with pytest.raises(asyncpg.RestrictViolationError, match=f"rows of {table} are never updated"):
        await _execute(postgres_dsn, statement.format(table, column, column))
    assert (await run_audit(postgres_dsn)).ok


async def test_huge_numbers_of_services_are_reported(postgres_dsn: str) -> None:
    """The same holds of what the services keep: legs, settlements, plans, limits and debts."""
    huge = 2**63 - 1
    await _damage(
        postgres_dsn,
        f"""UPDATE zhihui.settlement_leg SET gross_minor = {huge}, fee_minor = {-huge},
                   shared_minor = {-huge}, net_minor = {huge};
            UPDATE zhihui.settlement SET net_minor = {huge}, carried_in_minor = {huge},
                   carried_out_minor = {huge}, payout_minor = {huge};
            UPDATE zhihui.clearing SET amount_minor = {huge};
            UPDATE zhihui.credit_plan SET principal_minor = {huge}, charges_minor = {huge},
                   status = 'paid';
            UPDATE zhihui.balance SET posted_minor = {-huge - 1};
            UPDATE zhihui.payment_order SET body = replace(body, '600', '{10**30}');
            UPDATE zhihui.account_limit SET day_out = {huge}, day_in = {huge};
            UPDATE zhihui.points_wallet SET body = replace(body, '300', '{10**30}');
            UPDATE zhihui.fund_income SET income_minor = {huge}""",
        SERVICES,
    )
    report = await run_audit(postgres_dsn)
    expected = {
        "merchant_legs", "settlement_chain", "settlement_sums", "settlement_payouts",
        "credit_books", "payments_add_up", "account_limits", "points_batches", "points_reserve",
        "fund_backing", "fund_income_sums",
    }  # fmt: skip
    assert expected <= _named(report).keys()
