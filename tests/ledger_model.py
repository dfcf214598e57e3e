"""The ledger as a sequential program with dicts: what the journal must never differ from."""

import copy
from collections import Counter
from typing import Any

from schemas.money import MAX_AMOUNT_MINOR
from tests.ledger_requests import (
    Capture,
    Chain,
    Deposit,
    Open,
    OpenWith,
    Pays,
    Place,
    Release,
    Request,
    Status,
    Transfer,
    hold_id,
)

__all__ = ("Model", "ModelAccount", "ModelHold")


class Refused(Exception):
    """The code of a rejection."""


class ModelAccount:
    """An account; None where it has no bound."""

    def __init__(self, app: str, floor: int | None, ceiling: int | None) -> None:
        self.app = app
        self.floor = floor
        self.ceiling = ceiling
        self.posted = 0
        self.held = 0
        self.status = "open"

    def above(self, amount: int) -> bool:
        """Tell whether ``amount`` may be taken away from what is available."""
        return self.floor is None or self.posted - self.held - amount >= self.floor


class ModelHold:
    """A hold."""

    def __init__(self, app: str, account: str, payee: str, purpose: str, amount: int) -> None:
        self.app = app
        self.account = account
        self.payee = payee
        self.purpose = purpose
        self.amount = amount
        self.captured = 0
        self.released = 0
        self.status = "open"

    @property
    def left(self) -> int:
        """What is neither captured nor released."""
        return self.amount - self.captured - self.released


class Model:
    """One request after the other."""

    def __init__(self) -> None:
        self.accounts = {
            name: ModelAccount("bank", None, None)
            for name in ("external:cash", "external:unionpay")
        }
        self.holds: dict[str, ModelHold] = {}
        self.outcomes: Counter[str] = Counter()
        # (app, request id) → what was asked, and what was answered.
        self._decided: dict[tuple[str, str], tuple[Any, str]] = {}

    def balances(self) -> dict[str, tuple[int, int]]:
        """Return what is posted and what is held, by account."""
        return {name: (one.posted, one.held) for name, one in self.accounts.items()}

    def check(self) -> None:
        """What must hold whatever was asked: no money from nowhere, and no hold beyond itself."""
        assert sum(one.posted for one in self.accounts.values()) == 0
        for name, account in self.accounts.items():
            holds = [one for one in self.holds.values() if one.account == name]
            assert account.held == sum(one.left for one in holds)
            assert account.above(0)
            if account.status == "closed":
                assert (account.posted, account.held) == (0, 0)
        for hold in self.holds.values():
            assert hold.left >= 0
            assert (hold.left > 0) == (hold.status == "open")

    def decide(self, request: Request | Chain) -> str:
        """Return what the caller must hear: ``ok <index> <found>`` or a code; of chains, all."""
        if isinstance(request, Chain):
            outcome = self._decide_chain(request)
        else:
            outcome = self._decide(request)
        for part in outcome.split("; "):
            self.outcomes[" ".join(part.split()[:2])] += 1
        return outcome

    def _decide(self, request: Request) -> str:
        key = (request.app, request.request_id)
        if key in self._decided:
            body, outcome = self._decided[key]
            return outcome if body == request.alternatives else "conflict"
        outcome = self._choose(request)
        self._decided[key] = (request.alternatives, outcome)
        return outcome

    def _decide_chain(self, chain: Chain) -> str:
        keys = [(link.app, link.request_id) for link in chain.links]
        known = [self._decided.get(key) for key in keys]
        if any(known):
            same = all(one is not None and one[0] == (chain, n) for n, one in enumerate(known))
            if not same:
                return "conflict"
            said = [one[1] for one in known if one is not None]
        else:
            before = self._state()
            said = []
            for link in chain.links:
                said.append(self._choose(link))
                if not said[-1].startswith("ok"):
                    self.accounts, self.holds = before
                    left = ["linked_failed"] * len(keys)
                    left[len(said) - 1] = said[-1]
                    said = left
                    break
            for number, (key, one) in enumerate(zip(keys, said, strict=True)):
                self._decided[key] = ((chain, number), one)
        refused = [one for one in said if not one.startswith("ok") and one != "linked_failed"]
        return refused[0] if refused else "; ".join(said)

    def _state(self) -> tuple[dict[str, ModelAccount], dict[str, ModelHold]]:
        return copy.deepcopy((self.accounts, self.holds))

    def _choose(self, request: Request) -> str:
        refused = ""
        for index, one in enumerate(request.alternatives):
            before = self._state()
            try:
                return f"ok {index} {self._attempt(request.app, one)}"
            except Refused as error:
                self.accounts, self.holds = before
                refused = refused or str(error)
        return refused

    def _attempt(self, app: str, one: Any) -> list[int]:
        match one:
            case Open():
                self._open(one.name, app, one.floor, one.ceiling)
            case OpenWith():
                self._open(one.name, app, 0, None)
                self._move("external:cash", one.name, one.amount, "")
            case Deposit():
                self._move("external:cash", one.name, one.amount, "")
            case Pays():
                for debit, credit, amount in one.moves:
                    self._move(debit, credit, amount, app)
            case _:
                return [n for step in one.steps for n in self._step(app, step)]
        return []

    def _step(self, app: str, step: Any) -> list[int]:
        match step:
            case Place():
                return self._place(app, step)
            case Capture():
                return self._capture(app, step)
            case Release():
                return self._release(app, step)
            case Transfer():
                return self._transfer(app, step)
            case _:
                return self._change_status(app, step)

    def _open(self, name: str, app: str, floor: int | None, ceiling: int | None) -> None:
        _demand(name not in self.accounts, "invalid_state")
        self.accounts[name] = ModelAccount(app, floor, ceiling)

    def _debited(self, name: str, owner: str) -> ModelAccount:
        account = self.accounts.get(name)
        if account is None or (owner and account.app != owner):
            raise Refused("not_found")
        return account

    def _credited(self, name: str, owner: str) -> ModelAccount:
        account = self.accounts.get(name)
        if account is None or (owner and account.app == "bank"):
            raise Refused("not_found")
        _demand(account.status != "closed", "invalid_state")
        return account

    def _move(self, debit: str, credit: str, amount: int, owner: str) -> None:
        _demand(1 <= amount <= MAX_AMOUNT_MINOR, "invalid_field")
        _demand(debit != credit, "self_payment")
        payer = self._debited(debit, owner)
        payee = self._credited(credit, owner)
        _demand(payer.status == "open", "invalid_state")
        _demand(payer.above(amount), "insufficient_funds")
        _credit(payee, amount)
        payer.posted -= amount

    def _place(self, app: str, step: Place) -> list[int]:
        _demand(1 <= step.amount <= MAX_AMOUNT_MINOR, "invalid_field")
        _demand(hold_id(step) not in self.holds, "invalid_state")
        _demand(step.account != step.payee, "self_payment")
        account = self._debited(step.account, app)
        if step.payee:
            self._credited(step.payee, app)
        _demand(account.status == "open", "invalid_state")
        _demand(account.above(step.amount), "insufficient_funds")
        account.held += step.amount
        self.holds[hold_id(step)] = ModelHold(
            app, step.account, step.payee, step.purpose, step.amount
        )
        return []

    def _hold(self, app: str, step: Capture | Release, purpose: str) -> ModelHold:
        hold = self.holds.get(hold_id(step))
        if hold is None or hold.app != app:
            raise Refused("not_found")
        _demand(not purpose or hold.purpose == purpose, "invalid_state")
        _demand(hold.status == "open", "invalid_state")
        return hold

    def _capture(self, app: str, step: Capture) -> list[int]:
        hold = self._hold(app, step, "hold")
        payee = step.payee or hold.payee
        _demand(bool(payee) and payee == (hold.payee or payee), "invalid_field")
        _demand(payee != hold.account, "self_payment")
        amount = hold.left if step.amount is None else step.amount
        _demand(1 <= amount <= MAX_AMOUNT_MINOR, "invalid_field")
        _demand(amount <= hold.left, "insufficient_funds")
        resolves = step.final or amount == hold.left
        credit = self._credited(payee, app)
        account = self.accounts[hold.account]
        _demand(account.status == "open", "invalid_state")
        _credit(credit, amount)
        _demand(step.resolves in (None, resolves), "invalid_state")
        account.posted -= amount
        hold.captured += amount
        rest = hold.left if resolves else 0
        hold.released += rest
        account.held -= amount + rest
        if resolves:
            hold.status = "captured"
        return [amount, rest, hold.left]

    def _release(self, app: str, step: Release) -> list[int]:
        hold = self._hold(app, step, step.purpose)
        self.accounts[hold.account].held -= hold.left
        hold.released += hold.left
        hold.status = step.status
        return [hold.captured, hold.released]

    def _transfer(self, app: str, step: Transfer) -> list[int]:
        _demand(step.amount >= 1, "invalid_field")
        _demand(step.debit != step.credit, "self_payment")
        payer = self._debited(step.debit, app)
        payee = self._credited(step.credit, app)
        _demand(payer.status == "open", "invalid_state")
        floors = [one for one in (payer.floor, step.keep) if one is not None]
        amount = step.amount
        if floors:
            amount = max(0, min(amount, payer.posted - payer.held - max(floors)))
        _demand(amount >= step.at_least, "insufficient_funds")
        _credit(payee, amount)
        payer.posted -= amount
        return [amount]

    def _change_status(self, app: str, step: Status) -> list[int]:
        account = self._debited(step.account, app)
        allowed = {"open": ("frozen", "closed"), "frozen": ("open",), "closed": ()}
        _demand(step.status in allowed[account.status], "invalid_state")
        if step.status == "closed":
            _demand(not account.posted and not account.held, "invalid_state")
        account.status = step.status
        return []


def _demand(holds: bool, code: str) -> None:
    if not holds:
        raise Refused(code)


def _credit(account: ModelAccount, amount: int) -> None:
    full = account.ceiling is not None and account.posted + amount > account.ceiling
    _demand(not (full and amount), "balance_limit")
    account.posted += amount
