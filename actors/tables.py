"""The bank's tables, as the store in memory must know them, and the rows that stand at first."""

from datetime import UTC, datetime
from typing import Any

from actors import (
    channels,
    credit,
    customers,
    payments,
    plugins,
    rewards,
    risk,
    settlement,
    wealth,
)
from kernel.memory_tables import Table, table
from schemas.subjects import PLATFORM_APP

__all__ = ("BANK_TABLES", "first_rows")

_CHANNELS = ("own_bank", "wechat", "alipay", "unionpay", "netsunion")
_EXTERNAL = ("cash", *_CHANNELS)
_INTERNAL = (
    ("escrow:guaranteed", "CNY"),
    ("income:merchant_fee", "CNY"),
    ("income:credit_fee", "CNY"),
    ("income:credit_interest", "CNY"),
    ("income:credit_penalty", "CNY"),
    ("income:advance_interest", "CNY"),
    ("expense:marketing", "CNY"),
    ("expense:channel_fee", "CNY"),
    ("points:issued", "POINTS"),
    ("points:redeemed", "POINTS"),
    ("points:expired", "POINTS"),
    ("points:expense", "CNY"),
)

BANK_TABLES: tuple[Table, ...] = (
    table(
        "account",
        ("account_id text", "change_seq bigint", "app text", "holder text", "type text",
         "asset text", "floor_minor bigint null", "ceiling_minor bigint null", "status text",
         "opened_at timestamptz", "customer_id text", "class text"),
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
         "asset text", "purpose text"),
        ("change_seq", "number"),
        checks=(("amount_minor", ">", 0),),
        immutable=True,
    ),
    table(
        "account_limit",
        ("account_id text", "day_out_max bigint null", "day_in_max bigint null",
         "year_out_max bigint null", "year_in_max bigint null", "exempt text", "day bigint",
         "day_out bigint", "day_in bigint", "year bigint", "year_out bigint", "year_in bigint"),
        ("account_id",),
    ),
    table(
        "tally",
        ("tally_id text", "count bigint", "amount_minor bigint", "closed boolean"),
        ("tally_id",),
        checks=(("count", ">=", 0), ("amount_minor", ">=", 0)),
    ),
    table(
        "rule_set",
        ("name text", "version bigint", "change_seq bigint", "app text", "body text"),
        ("name",),
        key_means="version",
    ),
    table(
        "rule_set_version",
        ("name text", "version bigint", "change_seq bigint", "body text",
         "put_at timestamptz"),
        ("name", "version"),
        immutable=True,
    ),
    table(
        "account_status",
        ("change_seq bigint", "number bigint", "account_id text", "status text"),
        ("change_seq", "number"),
        immutable=True,
    ),
    *payments.TABLES,
    *channels.TABLES,
    *customers.TABLES,
    *risk.TABLES,
    *credit.TABLES,
    *wealth.TABLES,
    *rewards.TABLES,
    *settlement.TABLES,
    *plugins.TABLES,
)  # fmt: skip


def first_rows() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of an empty bank, by table: the mirrors of what is outside of it."""
    kept_in = [(f"external:{name}", "external", "CNY") for name in _EXTERNAL]
    kept_in += [(name, "internal", asset) for name, asset in _INTERNAL]
    kept_in += [(name, "internal", asset) for name, asset in payments.FIRST_ACCOUNTS]
    kept_in += [(name, "internal", asset) for name, asset in rewards.FIRST_ACCOUNTS]
    kept_in += [
        (f"channel:{name}:{side}", "internal", "CNY")
        for name in _CHANNELS
        for side in ("expected", "suspense")
    ]
    accounts = [
        {
            "account_id": name,
            "change_seq": 0,
            "app": PLATFORM_APP,
            "holder": name,
            "type": type_,
            "asset": asset,
            "status": "open",
            "opened_at": datetime(1970, 1, 1, tzinfo=UTC),
            "customer_id": "",
            "class": "",
        }
        for name, type_, asset in kept_in
    ]
    balances = [{"account_id": name, "posted_minor": 0, "entries": 0} for name, *_ in kept_in]
    return {"account": accounts, "balance": balances}
