"""A small correct ledger written by hand for the audit, and damage to it of every kind."""

from tests.audit_holds import Corruption

__all__ = ("CORRUPTIONS", "LEDGER")

# Two customers, a merchant and an account without entries; two deposits; a payment; a change with
# two equal payments, as when arrears are collected with a fee of the same amount; two rejections
# and a change that left only a document.
LEDGER = """
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

CORRUPTIONS = (
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
