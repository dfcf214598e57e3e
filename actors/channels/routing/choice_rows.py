"""A choice as it is stored: one row for each attempt, in the same change as the attempt."""

from datetime import datetime

from actors.channels.router_port import Choice
from actors.channels.terms import PPM
from kernel.journal import FactTable
from kernel.memory_tables import table
from schemas.change import Fact

__all__ = (
    "ROUTE_CHOICE_COLUMNS",
    "ROUTE_CHOICE_MEMORY_TABLE",
    "ROUTE_CHOICE_TABLE",
    "choice_fact",
)

ROUTE_CHOICE_COLUMNS = (
    "payment_id", "number", "app", "at", "chosen", "propensity_ppm", "rules_version", "body",
)  # fmt: skip

ROUTE_CHOICE_TABLE = FactTable(
    "route_choice",
    ROUTE_CHOICE_COLUMNS,
    ("text", "integer", "text", "timestamptz", "text", "integer", "bigint", "text"),
)

ROUTE_CHOICE_MEMORY_TABLE = table(
    "route_choice",
    ("payment_id text", "number integer", "change_seq bigint", "app text", "at timestamptz",
     "chosen text", "propensity_ppm integer", "rules_version bigint", "body text"),
    ("payment_id", "number"),
    checks=(("propensity_ppm", ">", 0),),
    immutable=True,
)  # fmt: skip


def choice_fact(choice: Choice, *, payment_id: str, number: int, app: str, at: datetime) -> Fact:
    """Return the row of the choice that the payment's attempt ``number`` (from 1) was made by."""
    if choice.channel is None:
        raise ValueError("a choice of no channel makes no attempt and is not stored")
    return Fact(
        "route_choice",
        (
            payment_id,
            number,
            app,
            at,
            choice.channel,
            round(choice.propensity * PPM),
            choice.rules_version,
            choice.body,
        ),
    )
