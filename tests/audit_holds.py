"""Holds, statuses and transfers added to the hand-written ledger of the audit, and their damage."""

import msgspec

__all__ = ("HOLDS", "HOLD_CORRUPTIONS", "Corruption")


class Corruption(msgspec.Struct, frozen=True, kw_only=True):
    """Damage to the ledger, and the rows that each failing check must name."""

    name: str
    sql: str
    named: dict[str, tuple[str, ...]]


# Anna: h-1 of 500 for the mall, captured by 200 and finally by 100; h-4 of 80 expired. Bo: h-2 of
# 400 open, h-3 of 50 frozen, h-5 of 60 frozen and unfrozen, h-6 of 30 voided. Idle was frozen and
# unfrozen. Shut got 70, of which all went to Bo when it was closed.
HOLDS = """
INSERT INTO zhihui.change
SELECT 'shop', 'request-' || seq, seq, operation, '\\x00', 'committed', '{}', now()
  FROM (VALUES (12, 'hold.place'), (13, 'hold.capture'), (14, 'hold.capture'), (15, 'hold.place'),
               (16, 'account.freeze'), (17, 'account.freeze'), (18, 'account.unfreeze'),
               (19, 'account.open'), (20, 'account.deposit'), (21, 'account.close'),
               (22, 'hold.place'), (23, 'hold.expire'), (24, 'account.freeze'),
               (25, 'account.unfreeze'), (26, 'hold.place'), (27, 'hold.void')
       ) AS v(seq, operation);
INSERT INTO zhihui.account VALUES
    ('shut', 19, 'shop', 'Shut', 'customer', 'CNY', 0, NULL, 'closed', now(), '', '');
INSERT INTO zhihui.balance VALUES ('shut', 0, 2);
INSERT INTO zhihui.deposit VALUES
    ('dep-3', 20, 'shop', 'shut', 'external:cash', 70, 'CNY', now());
INSERT INTO zhihui.hold
SELECT hold_id, change_seq, 'shop', account_id, payee, 'CNY', purpose, purpose = 'hold', '',
       amount, now(), NULL, captured, released, status, steps
  FROM (VALUES ('h-1', 12, 'anna', 'mall', 'hold', 500, 300, 200, 'captured', 4),
               ('h-2', 15, 'bo', '', 'hold', 400, 0, 0, 'open', 1),
               ('h-3', 16, 'bo', '', 'freeze', 50, 0, 0, 'open', 1),
               ('h-4', 22, 'anna', 'mall', 'hold', 80, 0, 80, 'expired', 2),
               ('h-5', 24, 'bo', '', 'freeze', 60, 0, 60, 'voided', 2),
               ('h-6', 26, 'bo', '', 'hold', 30, 0, 30, 'voided', 2)
       ) AS v(hold_id, change_seq, account_id, payee, purpose, amount, captured, released, status,
              steps);
INSERT INTO zhihui.hold_step VALUES
    ('h-1', 1, 12, 'placed', 500, ''), ('h-1', 2, 13, 'captured', 200, 'mall'),
    ('h-1', 3, 14, 'captured', 100, 'mall'), ('h-1', 4, 14, 'released', 200, ''),
    ('h-2', 1, 15, 'placed', 400, ''), ('h-3', 1, 16, 'placed', 50, ''),
    ('h-4', 1, 22, 'placed', 80, ''), ('h-4', 2, 23, 'expired', 80, ''),
    ('h-5', 1, 24, 'placed', 60, ''), ('h-5', 2, 25, 'voided', 60, ''),
    ('h-6', 1, 26, 'placed', 30, ''), ('h-6', 2, 27, 'voided', 30, '');
INSERT INTO zhihui.account_status VALUES
    (17, 0, 'idle', 'frozen'), (18, 0, 'idle', 'open'), (21, 1, 'shut', 'closed');
INSERT INTO zhihui.transfer VALUES (21, 0, 'shut', 'bo', 70, 'CNY', 'transfer');
INSERT INTO zhihui.entry VALUES
    ('anna', 3, 13, -200, 8800), ('mall', 4, 13, 200, 1800),
    ('anna', 4, 14, -100, 8700), ('mall', 5, 14, 100, 1900),
    ('external:cash', 3, 20, -70, -15070), ('shut', 1, 20, 70, 70),
    ('shut', 2, 21, -70, 0), ('bo', 4, 21, 70, 4470);
UPDATE zhihui.balance AS b SET posted_minor = v.posted, entries = v.entries, held_minor = v.held
  FROM (VALUES ('anna', 8700, 4, 0), ('mall', 1900, 5, 0), ('bo', 4470, 4, 450),
               ('external:cash', -15070, 3, 0)) AS v(account_id, posted, entries, held)
 WHERE b.account_id = v.account_id;
INSERT INTO zhihui.event
SELECT seq, change_seq, 'shop', type, subject, '{}', now()
  FROM (VALUES (11, 12, 'hold.placed', 'h-1'), (12, 13, 'hold.captured', 'h-1'),
               (13, 14, 'hold.captured', 'h-1'), (14, 15, 'hold.placed', 'h-2'),
               (15, 16, 'account.frozen', 'bo'), (16, 17, 'account.frozen', 'idle'),
               (17, 18, 'account.unfrozen', 'idle'), (18, 19, 'account.opened', 'shut'),
               (19, 20, 'deposit.succeeded', 'dep-3'), (20, 21, 'account.closed', 'shut'),
               (21, 22, 'hold.placed', 'h-4'), (22, 23, 'hold.expired', 'h-4'),
               (23, 24, 'account.frozen', 'bo'), (24, 25, 'account.unfrozen', 'bo'),
               (25, 26, 'hold.placed', 'h-6'), (26, 27, 'hold.voided', 'h-6')
       ) AS v(seq, change_seq, type, subject);
"""

HOLD_CORRUPTIONS = (
    Corruption(
        name="a balance forgets what is held",
        sql="UPDATE zhihui.balance SET held_minor = 400 WHERE account_id = 'bo'",
        named={"held_sums": ("balance of bo",)},
    ),
    Corruption(
        name="more is held than there is",
        sql="""UPDATE zhihui.hold SET amount_minor = 4421 WHERE hold_id = 'h-2';
               UPDATE zhihui.hold_step SET amount_minor = 4421 WHERE hold_id = 'h-2';
               UPDATE zhihui.balance SET held_minor = 4471 WHERE account_id = 'bo'""",
        named={"limits": ("balance of bo",)},
    ),
    Corruption(
        name="a resolved hold is open again",
        sql="UPDATE zhihui.hold SET status = 'open', released_minor = 0 WHERE hold_id = 'h-4'",
        named={"hold_steps": ("hold h-4",), "held_sums": ("balance of anna",)},
    ),
    Corruption(
        name="an open hold counts as voided",
        sql="""UPDATE zhihui.hold SET status = 'voided' WHERE hold_id = 'h-2';
               UPDATE zhihui.balance SET held_minor = 50 WHERE account_id = 'bo'""",
        named={"hold_steps": ("hold h-2",)},
    ),
    Corruption(
        name="an expired hold counts as voided",
        sql="UPDATE zhihui.hold SET status = 'voided' WHERE hold_id = 'h-4'",
        named={"hold_steps": ("hold h-4",)},
    ),
    Corruption(
        name="a hold captured less than its steps",
        sql="UPDATE zhihui.hold SET captured_minor = 299 WHERE hold_id = 'h-1'",
        named={"hold_steps": ("hold h-1",)},
    ),
    Corruption(
        name="a hold was resolved twice",
        sql="""INSERT INTO zhihui.hold_step VALUES ('h-6', 3, 27, 'expired', 1, '');
               UPDATE zhihui.hold SET steps = 3, released_minor = 31 WHERE hold_id = 'h-6'""",
        named={"hold_steps": ("hold h-6",), "events": ("hold.expired of h-6",)},
    ),
    Corruption(
        name="a capture goes beyond its hold",
        sql="""UPDATE zhihui.hold_step SET amount_minor = 600
                WHERE hold_id = 'h-1' AND number = 2;
               UPDATE zhihui.hold SET captured_minor = 700 WHERE hold_id = 'h-1'""",
        named={
            "hold_steps": ("hold h-1",),
            "entries_explained": (
                "entries of anna in change 13",
                "entries of anna in change 13",
                "entries of mall in change 13",
                "entries of mall in change 13",
            ),
        },
    ),
    Corruption(
        name="a hold's first step is gone",
        sql="DELETE FROM zhihui.hold_step WHERE hold_id = 'h-3'; DELETE FROM zhihui.event"
        " WHERE seq = 26; UPDATE zhihui.event SET seq = 26 WHERE seq = 27",
        named={
            "hold_steps": ("hold h-3",),
            "events": ("account.frozen of bo", "hold.voided of h-6"),
        },
    ),
    Corruption(
        name="a hold's step is of no kind that there is",
        sql="UPDATE zhihui.hold_step SET kind = 'lent' WHERE hold_id = 'h-5' AND number = 2",
        named={"hold_steps": ("hold h-5",), "events": ("account.unfrozen of bo",)},
    ),
    Corruption(
        name="steps without a hold",
        sql="DELETE FROM zhihui.hold WHERE hold_id = 'h-5'",
        named={
            "hold_steps": ("hold h-5",),
            "events": ("account.frozen of bo", "account.unfrozen of bo"),
        },
    ),
    Corruption(
        name="a capture has no entries",
        sql="""INSERT INTO zhihui.hold_step VALUES ('h-2', 2, 27, 'captured', 100, 'mall');
               UPDATE zhihui.hold SET steps = 2, captured_minor = 100 WHERE hold_id = 'h-2';
               UPDATE zhihui.balance SET held_minor = 350 WHERE account_id = 'bo'""",
        named={
            "entries_explained": ("entries of bo in change 27", "entries of mall in change 27"),
            "events": ("hold.captured of h-2",),
        },
    ),
    Corruption(
        name="a capture went to another payee than its entries",
        sql="UPDATE zhihui.hold_step SET payee = 'bo' WHERE hold_id = 'h-1' AND number = 2",
        named={"entries_explained": ("entries of bo in change 13", "entries of mall in change 13")},
    ),
    Corruption(
        name="a transfer's amount differs from its entries",
        sql="UPDATE zhihui.transfer SET amount_minor = 71",
        named={
            "entries_explained": (
                "entries of bo in change 21",
                "entries of bo in change 21",
                "entries of shut in change 21",
                "entries of shut in change 21",
            )
        },
    ),
    Corruption(
        name="a transfer and a hold are in a currency that their accounts are not kept in",
        sql="""UPDATE zhihui.transfer SET asset = 'USD';
               UPDATE zhihui.hold SET asset = 'USD' WHERE hold_id = 'h-3'""",
        named={"currencies": ("hold h-3", "transfer 0 of change 21")},
    ),
    Corruption(
        name="a frozen account is open without a record",
        sql="DELETE FROM zhihui.account_status WHERE change_seq = 18",
        named={
            "account_statuses": ("account idle",),
            "events": ("account.unfrozen of idle",),
        },
    ),
    Corruption(
        name="an account has a status that there is not",
        sql="UPDATE zhihui.account SET status = 'asleep' WHERE account_id = 'idle'",
        named={"account_statuses": ("account idle",)},
    ),
    Corruption(
        name="a closed account has money",
        sql="""UPDATE zhihui.account SET status = 'closed' WHERE account_id = 'mall';
               INSERT INTO zhihui.account_status VALUES (27, 0, 'mall', 'closed')""",
        named={
            "account_statuses": ("account mall",),
            "events": ("account.closed of mall",),
        },
    ),
    Corruption(
        name="an expiry was never told",
        sql="UPDATE zhihui.event SET type = 'hold.forgotten' WHERE seq = 22",
        named={"events": ("hold.expired of h-4",)},
    ),
    Corruption(
        name="rejected changes left holds, steps, transfers and statuses",
        sql="""UPDATE zhihui.change SET outcome = 'invalid_state' WHERE seq IN (21, 26);
               DELETE FROM zhihui.event WHERE seq IN (20, 25)""",
        named={
            "changes_committed": (
                "entry 2 of shut",
                "entry 4 of bo",
                "hold h-6",
                "status 1 of change 21",
                "step 1 of h-6",
                "transfer 0 of change 21",
            ),
            "events": ("account.closed of shut", "hold.placed of h-6"),
            "event_sequence": ("event 21", "event 26"),
        },
    ),
    Corruption(
        name="a hold belongs to another app than its change",
        sql="UPDATE zhihui.hold SET app = 'other' WHERE hold_id = 'h-2'",
        named={"changes_committed": ("hold h-2", "step 1 of h-2")},
    ),
)
