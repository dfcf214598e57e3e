"""How the city's day is written down: messages with their expected outcomes, and a plain model.

The model knows nothing of the service: it adds and subtracts, and what it ends with is what the
accounts must show.
"""

import random
from collections import Counter, defaultdict
from typing import Any

import msgspec

from schemas.catalogue import BANK_OPERATIONS
from zhihui.demo.day import DayLine

__all__ = ("APP", "OFFICE", "Script")

APP = "city"
OFFICE = "ops"

_MUTATES = {one.name: one.mutates for one in BANK_OPERATIONS}
_json = msgspec.json.Encoder()


class Script:
    """The lines of a day in phases; a phase begins when all of the one before is answered.

    Within a phase those of one ``lane`` go one after another, and lanes go side by side. ``money``
    is what each account has by the plain model, in minor units.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - reproducible on purpose
        self.lines: list[DayLine] = []
        self.phases: list[str] = []
        self.money: defaultdict[str, int] = defaultdict(int)
        # Guaranteed payments that nobody confirms: payer, name, amount.
        self.kept: list[tuple[str, str, int]] = []
        # Payments over channels: name, shop, amount.
        self.channel_payments: list[tuple[str, Any, int]] = []
        self._numbers = 0

    def begin(self, phase: str) -> None:
        """Begin the next phase."""
        self.phases.append(phase)

    def number(self) -> int:
        """Return a number that was not given before."""
        self._numbers += 1
        return self._numbers

    def ask(
        self,
        operation: str,
        lane: str,
        *,
        app: str = APP,
        expect: str = "ok",
        result: dict[str, Any] | None = None,
        keeps: str = "",
        defines: str = "",
        until: bool = False,
        **body: Any,
    ) -> DayLine:
        """Add a request; ``result`` is a part of what must be answered.

        With ``until`` a read is repeated until it says so. One that changes something gets a
        request id unless it has one.
        """
        if _MUTATES[operation] and "request_id" not in body:
            body = {"request_id": f"c-{self.number()}", **body}
        line = DayLine(
            at=len(self.phases) - 1,
            lane=lane,
            subject_tail=operation,
            expect=expect,
            expect_result=result or {},
            body=msgspec.Raw(_json.encode(body)),
            app=app,
            keeps=keeps,
            defines=defines,
            until=until,
        )
        self.lines.append(line)
        return line

    def again(self, line: DayLine) -> None:
        """Send the same message once more, which must be answered the same."""
        self.lines.append(msgspec.structs.replace(line, at=len(self.phases) - 1, keeps=""))

    def act(self, name: str, **body: Any) -> None:
        """Add something that happens to the city and is no message, in a phase of its own."""
        self.begin(f"@{name}")
        line = DayLine(
            at=len(self.phases) - 1,
            lane="@",
            subject_tail=f"@{name}",
            expect="ok",
            body=msgspec.Raw(_json.encode(body)),
        )
        self.lines.append(line)

    def open_account(self, name: str, *, type_: str = "customer", lane: str = "") -> str:
        """Open a plain account under a name, and return how bodies refer to it."""
        self.ask("account.open", lane or name, defines=f"@acct:{name}", holder=name, type=type_)
        return f"@acct:{name}"

    def deposit(self, name: str, account: str, amount: int, source: str = "external:cash") -> None:
        """Pay money into an account."""
        self.ask(
            "account.deposit", name, account_id=account, amount_minor=amount, source=source,
            result={"amount_minor": amount},
        )  # fmt: skip
        self.money[name] += amount

    def moved(self, payer: str, payee: str, amount: int) -> None:
        """Tell the model that money went from one to the other."""
        self.money[payer] -= amount
        self.money[payee] += amount

    def outcomes(self) -> dict[str, dict[str, int]]:
        """Return how often each outcome of each operation is expected."""
        counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for line in self.lines:
            if not line.subject_tail.startswith("@"):
                counts[line.subject_tail][line.expect] += 1
        return {name: dict(sorted(found.items())) for name, found in sorted(counts.items())}
