"""What must come of a sample day, whoever wrote its manifest."""

import msgspec

__all__ = ("AccountEnd", "Begins", "Debts", "Figures", "Manifest", "Phase")

# Amounts and counts by what they are of: {"balances": {"@acct:mall": 1250}}.
Figures = dict[str, dict[str, int | None]]


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the day. It begins when all of the one before it is answered.

    Before it the date is moved forward by ``advance_s`` seconds.
    """

    name: str
    advance_s: int = 0


class Begins(msgspec.Struct, frozen=True, kw_only=True):
    """When the day begins: the next such weekday and time of day in the zone."""

    weekday: str
    at: str
    zone: str


class AccountEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What an account has at the end, minor units.

    ``entries`` is the length of its statement; None when it is not said.
    """

    balance_minor: int
    held_minor: int = 0
    entries: int | None = None


class Debts(msgspec.Struct, frozen=True, kw_only=True):
    """What is owed at the end, as the read ``operation`` says in ``field``, minor units.

    Everybody is asked whose ``key`` stands in the body of a line for ``made_by``, so that one who
    owes and should not is found as well. ``owed`` is by key, without those that owe nothing.
    """

    operation: str
    key: str
    field: str
    made_by: str
    owed: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What must come of the whole day; outcomes are counted by operation and outcome.

    ``accounts`` are by the names under which lines open them. ``payments`` is the number of
    payments when the model counts them all, else 0.
    """

    name: str
    app: str
    messages: int
    setup_messages: int
    outcomes: dict[str, dict[str, int]]
    phases: tuple[Phase, ...]
    begins: Begins | None = None
    accounts: dict[str, AccountEnd] = {}
    debts: Debts | None = None
    payments: int = 0

    @property
    def messages_in_all(self) -> int:
        """Return the number of lines, those that set the day up with them."""
        return self.setup_messages + self.messages

    def figures(self) -> Figures:
        """Return what the books must say at the end."""
        ends = self.accounts
        figures: Figures = {
            "balances": {name: end.balance_minor for name, end in ends.items()},
            "amounts held": {name: end.held_minor for name, end in ends.items()},
            "statements": {
                name: end.entries for name, end in ends.items() if end.entries is not None
            },
        }
        if self.debts is not None:
            figures["debts"] = dict(self.debts.owed)
        return {what: them for what, them in figures.items() if them or what == "debts"}
