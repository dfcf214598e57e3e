"""The ledger as a sequential program with a dict: what the journal must never differ from.

Requests are drawn by hypothesis from small pools, so that duplicates, conflicts, overdrafts,
unknown accounts and limits all happen often.
"""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.change import Change
from schemas.money import MAX_AMOUNT_MINOR
from tests.changes import Answers, change, deposit, open_account, payments

__all__ = ("Batches", "Model", "Request", "batches", "change_of", "heard", "renamed")

_NAMES = ("a", "b", "c", "d")


class _Open(msgspec.Struct, frozen=True):
    name: str
    floor: int | None
    ceiling: int | None


class _Deposit(msgspec.Struct, frozen=True):
    name: str
    amount: int


class _Pays(msgspec.Struct, frozen=True):
    moves: tuple[tuple[str, str, int], ...]


class Request(msgspec.Struct, frozen=True):
    """What a caller asks: alternatives in order of preference, under an id."""

    request_id: str
    app: str
    alternatives: tuple[Any, ...]


Batches = list[list[Request]]

_names = st.sampled_from(_NAMES)
# Mostly so that two or three of them empty an account.
_amounts = st.sampled_from(
    [*range(5, 100, 5)] * 2 + [0, -1, MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR + 1]
)
_opens = st.builds(
    _Open, _names, st.sampled_from([0, 0, -20, None]), st.sampled_from([None, None, 150])
)
_deposits = st.builds(_Deposit, _names, _amounts)
_pays = st.lists(st.tuples(_names, _names, _amounts), min_size=1, max_size=4).map(
    lambda moves: _Pays(tuple(moves))
)
_alternatives = st.one_of(
    _opens.map(lambda one: (one,)),
    _deposits.map(lambda one: (one,)),
    _pays.map(lambda one: (one,)),
    _pays.map(lambda one: (one,)),
    st.lists(st.one_of(_pays, _pays, _deposits), min_size=2, max_size=3).map(tuple),
)
_requests = st.builds(
    Request,
    # Few ids: the same one comes again, with the same body or another.
    st.integers(0, 60).map("r{}".format),
    st.sampled_from(["shop"] * 6 + ["gym"]),
    _alternatives,
)


@st.composite
def batches(draw: st.DrawFn, *, size_max: int = 40) -> Batches:
    """Draw requests, some of them repeated word by word, cut into batches."""
    first: dict[str, Any] = {
        "a": _Open("a", 0, None), "b": _Open("b", -20, None), "c": _Open("c", 0, 150),
    }  # fmt: skip
    requests = [Request(f"o-{name}", "shop", (one,)) for name, one in first.items()]
    requests += [Request(f"f-{name}", "shop", (_Deposit(name, 100),)) for name in first]
    begun = len(requests)
    for one in draw(st.lists(_requests, min_size=size_max // 2, max_size=size_max)):
        # Three in ten are sent again.
        again = draw(st.integers(0, len(requests) * 10 // 3))
        requests.append(requests[again] if again < len(requests) else one)
    cut: Batches = [requests[:begun]]
    rest = requests[begun:]
    while rest:
        size = draw(st.integers(1, 12))
        cut.append(rest[:size])
        rest = rest[size:]
    return cut


def renamed(cut: Batches, prefix: str) -> Batches:
    """Return the same requests about accounts and under ids of their own."""

    def other(one: Any) -> Any:
        if isinstance(one, _Pays):
            moves = (
                (prefix + debit, prefix + credit, amount) for debit, credit, amount in one.moves
            )
            return _Pays(tuple(moves))
        return msgspec.structs.replace(one, name=prefix + one.name)

    return [
        [
            Request(prefix + one.request_id, one.app, tuple(map(other, one.alternatives)))
            for one in batch
        ]
        for batch in cut
    ]


def heard(answers: Answers, batch: list[Request]) -> list[str]:
    """Return what the callers of a batch heard, in the words of the model."""
    found = []
    for number, one in enumerate(batch):
        said = answers[number]
        made = [alternative.answer for alternative in change_of(one).alternatives]
        found.append(f"ok {made.index(said)}" if said in made else said)
    return found


def change_of(request: Request) -> Change:
    """Return the request as the journal gets it."""
    made = []
    for number, one in enumerate(request.alternatives):
        unique = f"{request.app}-{request.request_id}-{number}"
        if isinstance(one, _Open):
            made.append(
                open_account(one.name, app=request.app, floor=one.floor, ceiling=one.ceiling)
            )
        elif isinstance(one, _Deposit):
            made.append(deposit(one.name, one.amount, deposit_id=unique, app=request.app))
        else:
            made.append(payments(request.request_id, one.moves, app=request.app, tag=f"-{number}"))
    return change(request.request_id, *made, app=request.app, body=repr(request.alternatives))


class _Held:
    def __init__(self, app: str, floor: int | None, ceiling: int | None) -> None:
        self.app = app
        self.floor = floor
        self.ceiling = ceiling


class Model:
    """One request after the other, and a dict of balances."""

    def __init__(self) -> None:
        self.balances: dict[str, int] = {"external:cash": 0, "external:unionpay": 0}
        self.outcomes: Counter[str] = Counter()
        self._accounts = {name: _Held("bank", None, None) for name in self.balances}
        self._decided: dict[tuple[str, str], tuple[tuple[Any, ...], str]] = {}

    def decide(self, request: Request) -> str:
        """Return what the caller must hear: ``ok <index>`` or a code."""
        outcome = self._decide(request)
        self.outcomes[outcome] += 1
        return outcome

    def _decide(self, request: Request) -> str:
        key = (request.app, request.request_id)
        if key in self._decided:
            body, outcome = self._decided[key]
            return outcome if body == request.alternatives else "conflict"
        outcome = ""
        for index, one in enumerate(request.alternatives):
            refused = self._attempt(request.app, one)
            if not refused:
                outcome = f"ok {index}"
                break
            outcome = outcome or refused
        self._decided[key] = (request.alternatives, outcome)
        return outcome

    def _attempt(self, app: str, one: Any) -> str:
        if isinstance(one, _Open):
            if one.name in self._accounts:
                return "invalid_state"
            self._accounts[one.name] = _Held(app, one.floor, one.ceiling)
            self.balances[one.name] = 0
            return ""
        before = dict(self.balances)
        moves = (
            (("external:cash", one.name, one.amount),) if isinstance(one, _Deposit) else one.moves
        )
        owner = "" if isinstance(one, _Deposit) else app
        for debit, credit, amount in moves:
            refused = self._move(debit, credit, amount, owner)
            if refused:
                self.balances = before
                return refused
        return ""

    def _move(self, debit: str, credit: str, amount: int, owner: str) -> str:
        if not 1 <= amount <= MAX_AMOUNT_MINOR:
            return "invalid_field"
        if debit == credit:
            return "self_payment"
        payer, payee = self._accounts.get(debit), self._accounts.get(credit)
        if payer is None or payee is None or (owner and payer.app != owner):
            return "not_found"
        left = self.balances[debit] - amount
        if payer.floor is not None and left < payer.floor:
            return "insufficient_funds"
        held = self.balances[credit] + amount
        if payee.ceiling is not None and held > payee.ceiling:
            return "balance_limit"
        self.balances[debit], self.balances[credit] = left, held
        return ""
