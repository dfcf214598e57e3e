"""Reads the manifest of a sample day in the shapes that packs write.

A pack that writes a new one should write ``balances`` and ``held`` by the names of its accounts,
``phases`` and, when the day of the week or the hour matter, ``begins``. Then nothing here is to be
changed for it.
"""

import msgspec

from zhihui.demo.days.manifest import AccountEnd, Begins, Debts, Manifest, Phase

__all__ = ("read_manifest",)

# Of a day without phases of its own: lines that set it up, then all others.
_TWO_PHASES = (Phase(name="Before the day"), Phase(name="The day"))


class _Lot(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator of the parking day has; ``payments`` is the length of its statement."""

    account: str
    balance_minor: int
    payments: int


class _Written(msgspec.Struct, frozen=True, kw_only=True):
    """What any of the shapes may have. What a model notes besides is for its own tests."""

    name: str
    app: str
    messages: int
    setup_messages: int
    outcomes: dict[str, dict[str, int]]
    phases: tuple[Phase, ...] = _TWO_PHASES
    begins: Begins | None = None
    payments: int = 0
    balances: dict[str, int] = {}
    held: dict[str, int] = {}
    lots: dict[str, _Lot] = {}
    arrears: dict[str, int] | None = None
    debts: dict[str, int] | None = None


def read_manifest(content: bytes) -> Manifest:
    """Return what the JSON of a manifest says; raise ``msgspec.ValidationError`` for another."""
    written = msgspec.json.decode(content, type=_Written)
    return Manifest(
        name=written.name,
        app=written.app,
        messages=written.messages,
        setup_messages=written.setup_messages,
        outcomes=written.outcomes,
        phases=written.phases,
        begins=written.begins,
        accounts=_ends(written),
        debts=_debts(written),
        payments=written.payments,
    )


def _ends(written: _Written) -> dict[str, AccountEnd]:
    ends = {
        name: AccountEnd(balance_minor=balance, held_minor=written.held.get(name, 0))
        for name, balance in written.balances.items()
    }
    for lot in written.lots.values():
        ends[lot.account] = AccountEnd(balance_minor=lot.balance_minor, entries=lot.payments)
    return ends


def _debts(written: _Written) -> Debts | None:
    if written.arrears is not None:
        return Debts(
            operation="parking.get",
            key="plate",
            field="arrears_minor",
            made_by="parking.bind",
            owed=written.arrears,
        )
    if written.debts is not None:
        return Debts(
            operation="campus.get_student",
            key="student_id",
            field="debts_minor",
            made_by="campus.bind_wallet",
            owed=written.debts,
        )
    return None
