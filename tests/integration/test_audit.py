"""The audit against a small ledger written by hand: whole, and damaged in every way it knows."""

import io

import asyncpg
import pytest
from rich.console import Console

from tests.audit_holds import HOLD_CORRUPTIONS, HOLDS, Corruption
from tests.audit_service_damage import SERVICE_CORRUPTIONS
from tests.audit_services import SERVICES
from zhihui.audit import AuditReport, Holding, print_report, run_audit
from zhihui.audit.checks import CHECKS

pytestmark = pytest.mark.anyio

# Two customers, a merchant and an account without entries; two deposits; a payment; a change with
# two equal payments, as when arrears are collected with a fee of the same amount; two rejections
# and a change that left only a document.
_LEDGER = """
INSERT INTO zhihui.change
SELECT 'shop', 'request-' || seq, seq, operation, '\\x00', outcome, '{}', now()
  FROM (VALUES (1, 'account.open', 'committed'), (2, 'account.open', 'committed'),
               (3, 'account.open', 'committed'), (4, 'account.open', 'committed'),
               (5, 'account.deposit', 'committed'), (6, 'account.deposit', 'committed'),
               (7, 'payment.create', 'committed'), (8, 'parking.exit', 'committed'),
               (9, 'payment.create', 'insufficient_funds'), (10, 'parking.enter', 'committed'),
               (11, 'payment.create', 'conflict')) AS v(seq, operation, outcome);
INSERT INTO zhihui.account VALUES
    ('anna', 1, 'shop', 'Anna', 'customer', 'CNY', 0, NULL, 'open', now(), '', ''),
    ('bo', 2, 'shop', 'Bo', 'customer', 'CNY', 0, 1000000, 'open', now(), '', ''),
    ('mall', 3, 'shop', 'Mall', 'merchant', 'CNY', 0, NULL, 'open', now(), '', ''),
    ('idle', 4, 'shop', 'Idle', 'customer', 'CNY', 0, NULL, 'open', now(), '', '');
INSERT INTO zhihui.deposit VALUES
    ('dep-1', 5, 'shop', 'anna', 'external:cash', 10000, 'CNY', now()),
    ('dep-2', 6, 'shop', 'bo', 'external:cash', 5000, 'CNY', now());
INSERT INTO zhihui.payment VALUES
    ('pay-1', 7, 'shop', 'request-7', 'quick', 'succeeded', 'anna', 'mall', 1000, 'CNY', '', now()),
    ('pay-2', 8, 'shop', 'request-8', 'quick', 'succeeded', 'bo', 'mall', 300, 'CNY', '', now()),
    ('pay-3', 8, 'shop', 'request-8', 'quick', 'succeeded', 'bo', 'mall', 300, 'CNY', '', now());
INSERT INTO zhihui.entry VALUES
    ('external:cash', 1, 5, -10000, -10000), ('anna', 1, 5, 10000, 10000),
    ('external:cash', 2, 6, -5000, -15000), ('bo', 1, 6, 5000, 5000),
    ('anna', 2, 7, -1000, 9000), ('mall', 1, 7, 1000, 1000),
    ('bo', 2, 8, -300, 4700), ('mall', 2, 8, 300, 1300),
    ('bo', 3, 8, -300, 4400), ('mall', 3, 8, 300, 1600);
INSERT INTO zhihui.balance VALUES
    ('anna', 9000, 2), ('bo', 4400, 3), ('mall', 1600, 3), ('idle', 0, 0);
UPDATE zhihui.balance SET posted_minor = -15000, entries = 2 WHERE account_id = 'external:cash';
INSERT INTO zhihui.document VALUES
    ('parking', 'vehicle', 'A12345', 2, 8, '{}'), ('parking', 'vehicle', 'B12345', 1, 10, '{}');
INSERT INTO zhihui.event
SELECT seq, change_seq, 'shop', type, subject, '{}', now()
  FROM (VALUES (1, 1, 'account.opened', 'anna'), (2, 2, 'account.opened', 'bo'),
               (3, 3, 'account.opened', 'mall'), (4, 4, 'account.opened', 'idle'),
               (5, 5, 'deposit.succeeded', 'dep-1'), (6, 6, 'deposit.succeeded', 'dep-2'),
               (7, 7, 'payment.succeeded', 'pay-1'), (8, 8, 'parking.exited', 'A12345'),
               (9, 8, 'payment.succeeded', 'pay-2'), (10, 8, 'payment.succeeded', 'pay-3')
       ) AS v(seq, change_seq, type, subject);
INSERT INTO zhihui.event_cursor VALUES ('ZHIHUI_EVENTS', 10);
"""


_CORRUPTIONS = (
    Corruption(
        name="an entry's amount is raised",
        sql="UPDATE zhihui.entry SET amount_minor = -999 WHERE account_id = 'anna' AND number = 2",
        named={
            "asset_totals": ("asset CNY",),
            "change_balances": ("change 7",),
            "entry_chain": ("entry 2 of anna",),
            "balance_sums": ("balance of anna",),
            "entries_explained": ("entries of anna in change 7", "entries of anna in change 7"),
        },
    ),
    Corruption(
        name="money appears in both entries of a payment",
        sql="""UPDATE zhihui.entry SET amount_minor = sign(amount_minor) * 1500,
                      balance_after_minor = balance_after_minor + sign(amount_minor) * 500
                WHERE change_seq = 7;
               UPDATE zhihui.entry SET balance_after_minor = balance_after_minor + 500
                WHERE account_id = 'mall' AND number > 1;
               UPDATE zhihui.balance SET posted_minor = posted_minor - 500
                WHERE account_id = 'anna';
               UPDATE zhihui.balance SET posted_minor = posted_minor + 500
                WHERE account_id = 'mall'""",
        named={
            "entries_explained": (
                "entries of anna in change 7",
                "entries of anna in change 7",
                "entries of mall in change 7",
                "entries of mall in change 7",
            )
        },
    ),
    Corruption(
        name="a balance after an entry is wrong in the middle",
        sql="""UPDATE zhihui.entry SET balance_after_minor = 4701
                WHERE account_id = 'bo' AND number = 2""",
        named={"entry_chain": ("entry 2 of bo", "entry 3 of bo")},
    ),
    Corruption(
        name="the first balance after is wrong",
        sql="""UPDATE zhihui.entry SET balance_after_minor = 1001
                WHERE account_id = 'mall' AND number = 1""",
        named={"entry_chain": ("entry 1 of mall", "entry 2 of mall")},
    ),
    Corruption(
        name="an entry is missing",
        sql="DELETE FROM zhihui.entry WHERE account_id = 'mall' AND number = 3",
        named={
            "asset_totals": ("asset CNY",),
            "change_balances": ("change 8",),
            "balance_sums": ("balance of mall",),
            "entries_explained": ("entries of mall in change 8",),
        },
    ),
    Corruption(
        name="an entry's number skips one",
        sql="UPDATE zhihui.entry SET number = 4 WHERE account_id = 'bo' AND number = 3",
        named={"entry_chain": ("entry 4 of bo",), "balance_sums": ("balance of bo",)},
    ),
    Corruption(
        name="entries are numbered from 0",
        sql="UPDATE zhihui.entry SET number = 0 WHERE account_id = 'anna' AND number = 1",
        named={
            "entry_chain": ("entry 0 of anna", "entry 2 of anna"),
        },
    ),
    Corruption(
        name="an entry is posted to an account that does not exist",
        sql="""UPDATE zhihui.entry SET account_id = 'ghost', number = 1, balance_after_minor = 300
                WHERE account_id = 'mall' AND number = 3""",
        named={
            "asset_totals": ("asset CNY", "asset of unknown accounts"),
            "change_balances": ("change 8", "change 8"),
            "balance_sums": ("balance of ghost", "balance of mall"),
            "entries_explained": ("entries of ghost in change 8", "entries of mall in change 8"),
        },
    ),
    Corruption(
        name="a posted balance is wrong",
        sql="UPDATE zhihui.balance SET posted_minor = 9001 WHERE account_id = 'anna'",
        named={"balance_sums": ("balance of anna",)},
    ),
    Corruption(
        name="a balance's count of entries is wrong",
        sql="UPDATE zhihui.balance SET entries = 1 WHERE account_id = 'idle'",
        named={"balance_sums": ("balance of idle",)},
    ),
    Corruption(
        name="an account has no balance",
        sql="DELETE FROM zhihui.balance WHERE account_id = 'idle'",
        named={"account_balances": ("account idle",)},
    ),
    Corruption(
        name="a balance has no account",
        sql="INSERT INTO zhihui.balance VALUES ('ghost', 0, 0)",
        named={"account_balances": ("balance of ghost",)},
    ),
    Corruption(
        name="a balance is below its floor",
        sql="UPDATE zhihui.account SET floor_minor = 1 WHERE account_id = 'idle'",
        named={"limits": ("balance of idle",)},
    ),
    Corruption(
        name="a balance is above its ceiling",
        sql="UPDATE zhihui.account SET ceiling_minor = 8999 WHERE account_id = 'anna'",
        named={"limits": ("balance of anna",)},
    ),
    Corruption(
        name="a balance was once below its floor",
        sql="UPDATE zhihui.account SET floor_minor = 1300 WHERE account_id = 'mall'",
        named={"limits": ("entry 1 of mall",)},
    ),
    Corruption(
        name="a payment's amount differs from its entries",
        sql="UPDATE zhihui.payment SET amount_minor = 1001 WHERE payment_id = 'pay-1'",
        named={
            "entries_explained": (
                "entries of anna in change 7",
                "entries of anna in change 7",
                "entries of mall in change 7",
                "entries of mall in change 7",
            )
        },
    ),
    Corruption(
        name="a payment names another payee than its entries",
        sql="UPDATE zhihui.payment SET payee = 'idle' WHERE payment_id = 'pay-1'",
        named={"entries_explained": ("entries of idle in change 7", "entries of mall in change 7")},
    ),
    Corruption(
        name="a payment equal to two others of its change has no entries",
        sql="""INSERT INTO zhihui.payment
               SELECT 'pay-4', change_seq, app, request_id, method, status, payer, payee,
                      amount_minor, currency, reference, created_at
                 FROM zhihui.payment WHERE payment_id = 'pay-3';
               INSERT INTO zhihui.event
               VALUES (11, 8, 'shop', 'payment.succeeded', 'pay-4', '{}', now())""",
        named={"entries_explained": ("entries of bo in change 8", "entries of mall in change 8")},
    ),
    Corruption(
        name="a payment is gone",
        sql="DELETE FROM zhihui.payment WHERE payment_id = 'pay-2'",
        named={
            "entries_explained": ("entries of bo in change 8", "entries of mall in change 8"),
            "events": ("payment.succeeded of pay-2",),
        },
    ),
    Corruption(
        name="a deposit's source differs from its entries",
        sql="UPDATE zhihui.deposit SET source = 'external:alipay' WHERE deposit_id = 'dep-2'",
        named={
            "entries_explained": (
                "entries of external:alipay in change 6",
                "entries of external:cash in change 6",
            )
        },
    ),
    Corruption(
        name="a payment is in a currency that its accounts are not kept in",
        sql="UPDATE zhihui.payment SET currency = 'USD' WHERE payment_id = 'pay-1'",
        named={"currencies": ("payment pay-1",)},
    ),
    Corruption(
        name="a payment has no event",
        sql="DELETE FROM zhihui.event WHERE seq = 10; UPDATE zhihui.event_cursor SET seq = 9",
        named={"events": ("payment.succeeded of pay-3",)},
    ),
    Corruption(
        name="a payment has two events",
        sql="""INSERT INTO zhihui.event
               VALUES (11, 8, 'shop', 'payment.succeeded', 'pay-3', '{}', now())""",
        named={"events": ("payment.succeeded of pay-3",)},
    ),
    Corruption(
        name="a payment's event belongs to another change",
        sql="UPDATE zhihui.event SET change_seq = 8 WHERE seq = 7",
        named={"events": ("payment.succeeded of pay-1", "payment.succeeded of pay-1")},
    ),
    Corruption(
        name="a deposit's event is of another type",
        sql="UPDATE zhihui.event SET type = 'deposit.failed' WHERE seq = 5",
        named={"events": ("deposit.succeeded of dep-1",)},
    ),
    Corruption(
        name="an account's event names another account",
        sql="UPDATE zhihui.event SET subject = 'nobody' WHERE seq = 4",
        named={"events": ("account.opened of idle", "account.opened of nobody")},
    ),
    Corruption(
        name="a change with effects is recorded as rejected",
        sql="UPDATE zhihui.change SET outcome = 'insufficient_funds' WHERE seq = 5",
        named={
            "changes_committed": (
                "deposit dep-1",
                "entry 1 of anna",
                "entry 1 of external:cash",
                "event 5",
            )
        },
    ),
    Corruption(
        name="a rejected change left a document",
        sql="UPDATE zhihui.document SET change_seq = 9 WHERE key = 'B12345'",
        named={"changes_committed": ("document parking/vehicle/B12345",)},
    ),
    Corruption(
        name="a change with effects is not recorded",
        sql="DELETE FROM zhihui.change WHERE seq = 4",
        named={"changes_committed": ("account idle", "event 4")},
    ),
    Corruption(
        name="a payment belongs to another app than its change",
        sql="UPDATE zhihui.payment SET app = 'other' WHERE payment_id = 'pay-1'",
        named={"changes_committed": ("payment pay-1",)},
    ),
    Corruption(
        name="two changes have one number",
        sql="""DROP INDEX zhihui.change_seq;
               UPDATE zhihui.change SET seq = 9 WHERE seq = 11""",
        named={"change_sequence": ("change 9",)},
    ),
    Corruption(
        name="an event's number skips one",
        sql="UPDATE zhihui.event SET seq = 11 WHERE seq = 10",
        named={"event_sequence": ("event 11",)},
    ),
    Corruption(
        name="a relay's cursor is ahead of the last event",
        sql="UPDATE zhihui.event_cursor SET seq = 11",
        named={"event_cursor": ("cursor of ZHIHUI_EVENTS",)},
    ),
)


async def _execute(dsn: str, *scripts: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for script in scripts:
            await connection.execute(script)
    finally:
        await connection.close()


async def _damage(dsn: str, sql: str, *more: str) -> None:
    # The role of a replica fires no triggers: the only way to write what the database refuses.
    await _execute(dsn, _LEDGER, *more, "SET session_replication_role = replica", sql)


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
    await _execute(postgres_dsn, _LEDGER)
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


@pytest.mark.parametrize("corruption", _CORRUPTIONS, ids=lambda corruption: corruption.name)
async def test_damage_is_found_and_named(postgres_dsn: str, corruption: Corruption) -> None:
    """Each kind of damage fails exactly the checks that speak of it, with its rows named."""
    await _damage(postgres_dsn, corruption.sql)
    report = await run_audit(postgres_dsn)
    assert not report.ok
    assert _named(report) == corruption.named


def test_every_check_can_fail() -> None:
    """No check is without a kind of damage that it alone or with others finds."""
    corruptions = (*_CORRUPTIONS, *HOLD_CORRUPTIONS, *SERVICE_CORRUPTIONS)
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
    await _execute(postgres_dsn, _LEDGER, HOLDS)
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
    await _execute(postgres_dsn, _LEDGER, SERVICES)
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
    await _execute(postgres_dsn, _LEDGER, HOLDS)
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
            UPDATE zhihui.account_limit SET day_out = {huge}, day_in = {huge}""",
        SERVICES,
    )
    report = await run_audit(postgres_dsn)
    expected = {
        "merchant_legs", "settlement_chain", "settlement_sums", "settlement_payouts",
        "credit_books", "payments_add_up", "account_limits",
    }  # fmt: skip
    assert expected <= _named(report).keys()
