"""What callers ask of the ledger, drawn by hypothesis, and the changes that it comes to.

Requests are drawn from small pools, so that duplicates, conflicts, overdrafts, unknown accounts,
resolved holds and limits all happen often.
"""

from random import Random
from typing import Any

import msgspec
from hypothesis import strategies as st

from schemas.change import Alternative, Change, Event, LinkedChanges, unknown
from schemas.ledger import (
    FREEZE,
    HOLD,
    CaptureStep,
    Moves,
    NewAccount,
    PlaceStep,
    Posting,
    ReleaseStep,
    StatusStep,
    Step,
    TransferStep,
    encode_moves,
)
from schemas.money import MAX_AMOUNT_MINOR
from tests.changes import AT, Answers, change, deposit, open_account, payments

__all__ = (
    "Batches",
    "Capture",
    "Chain",
    "Deposit",
    "Open",
    "OpenWith",
    "Pays",
    "Place",
    "Release",
    "Request",
    "Status",
    "Steps",
    "Transfer",
    "batches",
    "chain_of",
    "change_of",
    "heard",
    "renamed",
)


class Open(msgspec.Struct, frozen=True):
    """Open an account."""

    name: str
    floor: int | None
    ceiling: int | None


class OpenWith(msgspec.Struct, frozen=True):
    """Open an account and deposit to it, in one change."""

    name: str
    amount: int


class Deposit(msgspec.Struct, frozen=True):
    """Credit an account from outside."""

    name: str
    amount: int


class Pays(msgspec.Struct, frozen=True):
    """Payments ``(payer, payee, amount)`` that stand or fall together."""

    moves: tuple[tuple[str, str, int], ...]


class Place(msgspec.Struct, frozen=True):
    """Place the hold that :func:`hold_id` names."""

    account: str
    number: int
    amount: int
    payee: str
    purpose: str


class Capture(msgspec.Struct, frozen=True):
    """Capture from a hold."""

    account: str
    number: int
    amount: int | None
    payee: str
    final: bool
    resolves: bool | None


class Release(msgspec.Struct, frozen=True):
    """Void or expire a hold."""

    account: str
    number: int
    status: Any
    purpose: str


class Transfer(msgspec.Struct, frozen=True):
    """Move what is there."""

    debit: str
    credit: str
    amount: int
    at_least: int
    keep: int | None


class Status(msgspec.Struct, frozen=True):
    """Freeze, unfreeze or close an account."""

    account: str
    status: Any


class Steps(msgspec.Struct, frozen=True):
    """Steps that stand or fall together."""

    steps: tuple[Any, ...]


class Request(msgspec.Struct, frozen=True):
    """What a caller asks: alternatives in order of preference, under an id."""

    request_id: str
    app: str
    alternatives: tuple[Any, ...]


class Chain(msgspec.Struct, frozen=True):
    """Requests that are linked."""

    links: tuple[Request, ...]


Batches = list[list[Request | Chain]]

_NAMES = ("a", "a", "b", "b", "c", "d")
_PAYEES = ("", "", "b", "c", "d", "external:cash")
# Mostly so that two or three of them empty an account.
_AMOUNTS = (*range(5, 100, 5), *range(5, 100, 5), 0, -1, MAX_AMOUNT_MINOR, MAX_AMOUNT_MINOR + 1)
_SMALL = (*range(5, 60, 5), 0)


def _drawn(seed: int) -> Request | Chain:
    """Return the request of a number.

    Each is drawn by plain choices, which come out evenly; hypothesis chooses the numbers, and
    leaves out what a failure does not need.
    """
    chance = Random(seed)  # noqa: S311 - nobody has to guess it
    if chance.random() < 0.85:
        return _request(chance)
    while True:
        links = [_request(chance) for _ in range(chance.randint(1, 3))]
        chain = Chain(tuple(links))
        unique = len({(one.app, one.request_id) for one in links}) == len(links)
        if unique:
            return chain


def _request(chance: Random) -> Request:
    ways = 1 if chance.random() < 0.8 else chance.randint(2, 3)
    app = "gym" if chance.random() < 0.1 else "shop"
    # Few ids: the same one comes again with another body.
    return Request(
        f"r{chance.randrange(200)}", app, tuple(_alternative(chance) for _ in range(ways))
    )


def _alternative(chance: Random) -> Any:
    name, amount = chance.choice(_NAMES), chance.choice(_AMOUNTS)
    match chance.randrange(14):
        case 0:
            floor, ceiling = chance.choice([0, 0, -20, None]), chance.choice([None, None, 150])
            return Open(name, floor, ceiling)
        case 1:
            return OpenWith(name, amount)
        case 2 | 3:
            return Deposit(name, amount)
        case 4 | 5:
            moves = range(chance.randint(1, 4))
            return Pays(tuple((name, chance.choice(_NAMES), chance.choice(_AMOUNTS))
                              for _ in moves))  # fmt: skip
        case _:
            count = chance.choice([1, 1, 1, 1, 2, 3])
            return Steps(tuple(_one_step(chance) for _ in range(count)))


def _one_step(chance: Random) -> Any:
    name, number = chance.choice(_NAMES), chance.randrange(4)
    # Of few holds, so that they are met again.
    if chance.random() < 0.7:
        name, number = chance.choice("ab"), chance.randrange(3)
    match chance.randrange(14):
        case 0 | 1 | 2 | 3:
            purpose = chance.choice([HOLD, HOLD, HOLD, FREEZE])
            payee = chance.choice(_PAYEES)
            return Place(name, number, chance.choice(_SMALL), payee, purpose)
        case 4 | 5 | 6 | 7 | 8 | 9:
            amount = chance.choice([None, None, 5, 5, 10, 15, *_SMALL])
            resolves = chance.choice([None, None, None, True, False])
            final = chance.random() < 0.3
            return Capture(name, number, amount, chance.choice(_PAYEES), final, resolves)
        case 10 | 11:
            status, purpose = chance.choice(
                [("voided", HOLD), ("voided", FREEZE), ("expired", ""), ("expired", "")]
            )
            return Release(name, number, status, purpose)
        case 12:
            at_least, keep = chance.choice([0, 0, 5, 50]), chance.choice([None, None, 0, 30])
            return Transfer(name, chance.choice(_NAMES), chance.choice(_AMOUNTS), at_least, keep)
        case _:
            return Status(name, chance.choice(["frozen", "open", "open", "open", "closed"]))


@st.composite
def batches(draw: st.DrawFn, *, size_max: int = 60) -> Batches:
    """Draw requests and chains, some of them repeated word by word, cut into batches."""
    first: dict[str, Any] = {
        "a": Open("a", 0, None), "b": Open("b", -20, None), "c": Open("c", 0, 150),
    }  # fmt: skip
    requests: list[Request | Chain] = [
        Request(f"o-{name}", "shop", (one,)) for name, one in first.items()
    ]
    requests += [Request(f"f-{name}", "shop", (Deposit(name, 100),)) for name in first]
    placed = [
        Place("a", 0, 40, "", HOLD),
        Place("a", 1, 30, "b", HOLD),
        Place("b", 0, 50, "", HOLD),
    ]
    requests += [Request(f"p-{n}", "shop", (Steps((one,)),)) for n, one in enumerate(placed)]
    begun = len(requests)
    chance = draw(st.randoms(use_true_random=False))
    for seed in draw(
        st.lists(st.integers(0, 2**48), min_size=size_max // 2, max_size=size_max, unique=True)
    ):
        # One in five is sent again.
        again = chance.random() < 0.2
        requests.append(chance.choice(requests) if again else _drawn(seed))
    cut: Batches = [requests[:begun]]
    rest = requests[begun:]
    while rest:
        size = draw(st.integers(1, 12))
        cut.append(rest[:size])
        rest = rest[size:]
    return cut


# Fields that name accounts.
_NAMING = ("name", "account", "payee", "debit", "credit")


def renamed(cut: Batches, prefix: str) -> Batches:
    """Return the same requests about accounts and under ids of their own."""

    def name(one: str) -> str:
        return prefix + one if one and not one.startswith("external:") else one

    def other(one: Any) -> Any:
        if isinstance(one, Pays):
            return Pays(tuple((name(debit), name(credit), n) for debit, credit, n in one.moves))
        if isinstance(one, Steps):
            return Steps(tuple(map(other, one.steps)))
        found = {field: name(getattr(one, field)) for field in _NAMING if hasattr(one, field)}
        return msgspec.structs.replace(one, **found)

    def request(one: Request) -> Request:
        return Request(prefix + one.request_id, one.app, tuple(map(other, one.alternatives)))

    return [
        [
            Chain(tuple(map(request, one.links))) if isinstance(one, Chain) else request(one)
            for one in batch
        ]
        for batch in cut
    ]


# The changes.


def hold_id(one: Place | Capture | Release) -> str:
    """Return the id of a hold: it says whose account it is on."""
    return f"{one.account}.h{one.number}"


def change_of(request: Request) -> Change:
    """Return the request as the journal gets it."""
    made = []
    for number, one in enumerate(request.alternatives):
        unique = f"{request.app}-{request.request_id}-{number}"
        if isinstance(one, Open):
            made.append(
                open_account(one.name, app=request.app, floor=one.floor, ceiling=one.ceiling)
            )
        elif isinstance(one, OpenWith):
            made.append(_open_with(one, request.app, unique))
        elif isinstance(one, Deposit):
            made.append(deposit(one.name, one.amount, deposit_id=unique, app=request.app))
        elif isinstance(one, Pays):
            made.append(payments(request.request_id, one.moves, app=request.app, tag=f"-{number}"))
        else:
            made.append(_steps_alternative(one, request.app, unique))
    return change(request.request_id, *made, app=request.app, body=repr(request.alternatives))


def chain_of(chain: Chain) -> LinkedChanges:
    """Return the chain as the journal gets it."""
    return LinkedChanges(tuple(map(change_of, chain.links)))


def _open_with(one: OpenWith, app: str, unique: str) -> Alternative:
    opened = open_account(one.name, app=app)
    paid = deposit(one.name, one.amount, deposit_id=unique, app=app)
    moves = Moves(
        open=(NewAccount(one.name, app, "CNY", 0, None),),
        postings=(Posting("external:cash", one.name, one.amount, "CNY"),),
    )
    return Alternative(
        encode_moves(moves), opened.facts + paid.facts, opened.events + paid.events, paid.answer
    )


def _steps_alternative(one: Steps, app: str, unique: str) -> Alternative:
    steps, events, names = [], [], []
    for number, each in enumerate(one.steps):
        step, event, found = _step_of(each, app, f"s{number}")
        steps.append(step)
        events += event
        names += [f"s{number}.{name}" for name in found]
    answer = msgspec.json.encode({"steps": unique, "found": [unknown(name) for name in names]})
    return Alternative(encode_moves(Moves(steps=tuple(steps))), (), tuple(events), answer.decode())


def _step_of(one: Any, app: str, name: str) -> tuple[Step, list[Event], tuple[str, ...]]:
    """Return the step, the event that the audit will expect, and what the ledger finds."""
    step: Step
    match one:
        case Place():
            step = PlaceStep(
                hold_id(one), one.account, one.amount, "CNY", AT, app, one.payee, one.purpose,
                capturable=one.purpose == HOLD,
            )  # fmt: skip
            if one.purpose == FREEZE:
                return step, [Event("account.frozen", one.account, "{}")], ()
            return step, [Event("hold.placed", hold_id(one), "{}")], ()
        case Capture():
            step = CaptureStep(
                hold_id(one), one.amount, one.payee, one.final, one.resolves, app, name=name
            )
            found = ("captured", "released", "remaining")
            return step, [Event("hold.captured", hold_id(one), "{}")], found
        case Release():
            step = ReleaseStep(hold_id(one), one.status, app, one.purpose, name)
            event = Event(f"hold.{one.status}", hold_id(one), "{}")
            if one.purpose == FREEZE:
                event = Event("account.unfrozen", one.account, "{}")
            return step, [event], ("captured", "released")
        case Transfer():
            step = TransferStep(
                one.debit, one.credit, one.amount, "CNY", one.at_least, one.keep, app, name=name
            )
            return step, [], ("amount",)
        case _:
            what = "unfrozen" if one.status == "open" else one.status
            return (
                StatusStep(one.account, one.status, app),
                [Event(f"account.{what}", one.account, "{}")],
                (),
            )


# The answers.


def heard(answers: Answers, batch: list[Request | Chain]) -> list[str]:
    """Return what the callers of a batch heard, in the words of the model."""
    found = []
    for number, one in enumerate(batch):
        said = answers[number]
        if isinstance(one, Request):
            found.append(_said(said, one))
        elif said.startswith("["):
            parts = msgspec.json.decode(said, type=list[msgspec.Raw])
            texts = [bytes(part).decode() for part in parts]
            each = [_said(text, link) for text, link in zip(texts, one.links, strict=True)]
            found.append("; ".join(each))
        else:
            found.append(said)
    return found


def _said(said: str, request: Request) -> str:
    """Return ``ok <index> <what the ledger found>``, or the code of an error."""
    for index, alternative in enumerate(change_of(request).alternatives):
        if said == alternative.answer:
            return f"ok {index} []"
        template = msgspec.json.decode(alternative.answer)
        if said.startswith("{") and "found" in template:
            answer = msgspec.json.decode(said)
            same = answer.get("steps") == template["steps"]
            if same and len(answer["found"]) == len(template["found"]):
                return f"ok {index} {answer['found']}"
    return said
