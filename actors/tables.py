"""The bank's tables, as the store in memory must know them, and the rows that stand at first."""

from datetime import UTC, datetime
from typing import Any

from kernel.memory_tables import Table, table
from schemas.subjects import PLATFORM_APP

__all__ = ("BANK_TABLES", "first_rows")

_EXTERNAL = ("cash", "unionpay", "netsunion", "wechat", "alipay")

BANK_TABLES: tuple[Table, ...] = (
    table(
        "account",
        ("account_id text", "change_seq bigint", "app text", "holder text", "type text",
         "asset text", "floor_minor bigint null", "ceiling_minor bigint null", "status text",
         "opened_at timestamptz"),
        ("account_id",),
    ),
    table(
        "balance",
        ("account_id text", "posted_minor bigint", "entries bigint",
         "held_minor bigint default 0"),
        ("account_id",),
    ),
    table(
        "entry",
        ("account_id text", "number bigint", "change_seq bigint", "amount_minor bigint",
         "balance_after_minor bigint"),
        ("account_id", "number"),
        key_means="position",
        checks=(("amount_minor", "<>", 0),),
        immutable=True,
    ),
    table(
        "deposit",
        ("deposit_id text", "change_seq bigint", "app text", "account_id text", "source text",
         "amount_minor bigint", "currency text", "created_at timestamptz"),
        ("deposit_id",),
        checks=(("amount_minor", ">", 0),),
    ),
    table(
        "payment",
        ("payment_id text", "change_seq bigint", "app text", "request_id text", "method text",
         "status text", "payer text", "payee text", "amount_minor bigint", "currency text",
         "reference text", "created_at timestamptz"),
        ("payment_id",),
        checks=(("amount_minor", ">", 0),),
    ),
    table(
        "hold",
        ("hold_id text", "change_seq bigint", "app text", "account_id text", "payee text",
         "asset text", "purpose text", "capturable boolean", "reference text",
         "amount_minor bigint", "placed_at timestamptz", "expires_at timestamptz null",
         "captured_minor bigint", "released_minor bigint", "status text", "steps bigint"),
        ("hold_id",),
        checks=(("amount_minor", ">", 0),),
    ),
    table(
        "hold_step",
        ("hold_id text", "number bigint", "change_seq bigint", "kind text", "amount_minor bigint",
         "payee text"),
        ("hold_id", "number"),
        checks=(("amount_minor", ">", 0),),
        immutable=True,
    ),
    table(
        "transfer",
        ("change_seq bigint", "number bigint", "debit text", "credit text", "amount_minor bigint",
         "asset text"),
        ("change_seq", "number"),
        checks=(("amount_minor", ">", 0),),
        immutable=True,
    ),
    table(
        "account_status",
        ("change_seq bigint", "number bigint", "account_id text", "status text"),
        ("change_seq", "number"),
        immutable=True,
    ),
)  # fmt: skip


def first_rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of an empty bank, by table: the mirrors of what is outside of it."""
    names = [f"external:{name}" for name in _EXTERNAL]
    accounts = [
        {
            "account_id": name,
            "change_seq": 0,
            "app": PLATFORM_APP,
            "holder": name,
            "type": "external",
            "asset": "CNY",
            "status": "open",
            "opened_at": datetime(1970, 1, 1, tzinfo=UTC),
        }
        for name in names
    ]
    balances = [{"account_id": name, "posted_minor": 0, "entries": 0} for name in names]
    return {"account": accounts, "balance": balances}
