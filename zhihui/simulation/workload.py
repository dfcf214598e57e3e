"""What the backends of a simulated day ask for: a list of steps, made from the seed alone.

A step names what it is about by the number of the step that made it, never by an id of the
product: the same list is played to the platform and to the model.
"""

from random import Random
from typing import Any

import msgspec

__all__ = ("COUNTERS", "KINDS", "Profile", "Step", "Workload", "make_workload")

# Steps come in bursts, so that some race for the same account, hold or payment.
_BURST_MAX = 5
# How often what follows a payment is about one that it may follow, and one pays itself.
_FITTING = 0.8
_PAYS_ITSELF = 0.15
_GAP_S = (0.01, 0.1, 0.4, 1.2)
_CUSTOMERS = 3
_SHOPS = 2
_OPENING_MINOR = (4_000, 50_000, 200_000)
_CREDIT_LIMIT_MINOR = 60_000
# The least that is paid back in instalments, by the rules that stand at first.
_CREDIT_MIN_MINOR = 10_000
_UNITS_MINOR = 40_000
COUNTERS = ("a", "b", "c")

# Step kind → how often it is drawn, relative to the others.
KINDS = {
    "open": 1, "deposit": 4, "pay": 14, "confirm": 4, "capture": 5, "void": 4, "refund": 10,
    "hold": 5, "hold_capture": 5, "hold_void": 2, "freeze": 2, "unfreeze": 2, "read": 6,
    "again": 6, "conflict": 2, "subscribe": 2, "redeem": 2, "settle_plan": 2, "count": 6,
    "dispute": 3, "resolve": 3,
}  # fmt: skip


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts of the bank the seed plays with beside accounts, holds and payments."""

    credit: bool
    wealth: bool
    channels: bool
    packs: bool


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One request: what, when, and how long whoever asks waits and tries again.

    ``args`` name accounts, holds and payments by the numbers of the steps that made them. A step
    without patience (``attempts`` of 1) may never learn what became of it.
    """

    number: int
    kind: str
    at_s: float
    args: dict[str, Any]
    timeout_s: float = 6.0
    attempts: int = 1_000

    @property
    def request_id(self) -> str:
        """The id of the request; a repetition and a conflict use that of another step."""
        return f"s{self.args['of']}" if self.kind in ("again", "conflict") else f"s{self.number}"


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """All steps of a seed; those of ``setup`` are answered before the first of ``steps``."""

    profile: Profile
    setup: tuple[Step, ...]
    steps: tuple[Step, ...]

    @property
    def all_steps(self) -> tuple[Step, ...]:
        """The steps of both."""
        return self.setup + self.steps


def make_workload(seed: int, count: int) -> Workload:
    """Return ``count`` steps and what has to be there before them."""
    return _Maker(Random(f"{seed}/workload")).make(count)  # noqa: S311 - reproducible on purpose


class _Maker:
    def __init__(self, random: Random) -> None:
        self._random = random
        self._made: list[Step] = []
        self._at_s = 0.0
        self._profile = Profile(
            credit=random.random() < 0.4,
            wealth=random.random() < 0.4,
            channels=random.random() < 0.5,
            packs=random.random() < 0.3,
        )

    def make(self, count: int) -> Workload:
        self._set_up()
        first = len(self._made)
        while len(self._made) < first + count:
            self._at_s += self._random.choice(_GAP_S)
            self._burst(min(self._random.randint(1, _BURST_MAX), first + count - len(self._made)))
        made = tuple(self._made)
        return Workload(profile=self._profile, setup=made[:first], steps=made[first:])

    def _add(self, kind: str, args: dict[str, Any], *, eager: bool = False) -> int:
        number = len(self._made)
        chance = self._random
        timeout_s, attempts = 6.0, 1_000
        if not eager:
            timeout_s = chance.choice((0.3, 1.5, 6.0, 6.0))
            attempts = chance.choice((1, 2, 1_000, 1_000))
        self._made.append(
            Step(
                number=number, kind=kind, at_s=round(self._at_s, 3), args=args,
                timeout_s=timeout_s, attempts=attempts,
            )
        )  # fmt: skip
        return number

    def _set_up(self) -> None:
        chance = self._random
        for _ in range(_CUSTOMERS):
            name = self._add("open", {"type": "customer"}, eager=True)
            amount = chance.choice(_OPENING_MINOR)
            self._add("deposit", {"account": name, "amount": amount}, eager=True)
        for _ in range(_SHOPS):
            self._add("open", {"type": "merchant"}, eager=True)
        customers = self._of("open")[:_CUSTOMERS]
        if self._profile.wealth:
            self._add("fund", {}, eager=True)
            for name in customers[:2]:
                # The money for it comes first.
                self._add("deposit", {"account": name, "amount": _UNITS_MINOR}, eager=True)
                args = {"account": name, "amount": _UNITS_MINOR}
                self._add("subscribe", args, eager=True)
        if self._profile.credit:
            person = self._add("person", {}, eager=True)
            args = {"person": person, "account": customers[0]}
            line = self._add("line", args, eager=True)
            self._add("grant", {"line": line, "limit": _CREDIT_LIMIT_MINOR}, eager=True)

    def _of(self, *kinds: str) -> list[int]:
        return [one.number for one in self._made if one.kind in kinds]

    def _burst(self, size: int) -> None:
        """Add steps that begin at almost the same moment; often they are about one thing."""
        kind = self._kind()
        for _ in range(size):
            if self._random.random() < 0.4:
                kind = self._kind()
            self._at_s += self._random.choice((0.0, 0.0, 0.001, 0.004))
            self._step(kind)

    def _kind(self) -> str:
        kinds = list(KINDS)
        return self._random.choices(kinds, [KINDS[one] for one in kinds])[0]

    def _step(self, kind: str) -> None:
        make = getattr(self, f"_{kind}", None)
        args = make() if make is not None else None
        if args is None:
            kind, args = "pay", self._pay()
        self._add(kind, args)

    # What each kind is about; None when there is nothing to be about.

    def _amount(self) -> int:
        return self._random.choice((1, 7, 100, 333, 1_000, 2_500))

    def _account(self) -> int:
        return self._random.choice(self._of("open"))

    def _recent(self, *kinds: str) -> int | None:
        """Return a step of late, as a rule the last one."""
        found = self._of(*kinds)[-4:]
        if not found:
            return None
        return found[-1] if self._random.random() < 0.6 else self._random.choice(found)

    def _open(self) -> dict[str, Any]:
        return {"type": "customer"}

    def _deposit(self) -> dict[str, Any]:
        return {"account": self._account(), "amount": self._amount() * 3}

    def _pay(self) -> dict[str, Any]:
        chance = self._random
        method = chance.choice(("quick", "quick", "guaranteed", "authorized"))
        amount = self._amount() + 3
        args: dict[str, Any] = {"payee": self._account(), "amount": amount, "method": method}
        if method == "authorized" and chance.random() < 0.4:
            args["expires_in_s"] = chance.choice((2, 10, 25))
        args["legs"] = self._legs(amount, method, args["payee"])
        args["amount"] = sum(leg["amount"] for leg in args["legs"])
        return args

    def _legs(self, amount: int, method: str, payee: int) -> list[dict[str, Any]]:
        """Return the sources: exact parts of the amount, in their order."""
        chance, profile = self._random, self._profile
        if profile.channels and method != "authorized" and chance.random() < 0.3:
            return [{"type": "channel", "amount": amount}]
        kinds = ["account", "account", "account"]
        if profile.wealth and method != "authorized":
            kinds += ["wealth", "wealth"]
        if profile.credit and method != "authorized":
            kinds += ["credit", "credit"]
        count = chance.choice((1, 1, 1, 2, 3)) if amount > 5 else 1
        chosen = [chance.choice(kinds) for _ in range(count)]
        # One plan and one redemption in a payment, and each account once.
        chosen = [one for n, one in enumerate(chosen) if one == "account" or one not in chosen[:n]]
        # One that pays itself is refused, and of several sources it is not said which one first.
        itself = len(chosen) == 1 and chance.random() < _PAYS_ITSELF
        others = [one for one in self._of("open") if one != payee or itself]
        accounts = chance.sample(others, len(chosen))
        parts = _parts(chance, amount, len(chosen))
        legs = []
        for kind, account, part in zip(chosen, accounts, parts, strict=True):
            leg: dict[str, Any] = {"type": kind, "amount": part}
            if kind == "account":
                leg["account"] = account
            elif kind == "wealth":
                leg["units"] = chance.choice(self._of("subscribe"))
            else:
                leg["amount"] += _CREDIT_MIN_MINOR
                leg["line"] = self._of("line")[0]
                leg["terms"] = chance.choice((3, 6))
                leg["quote"] = self._quote(leg)
            legs.append(leg)
        return legs

    def _quote(self, leg: dict[str, Any]) -> int:
        args = {"line": leg["line"], "amount": leg["amount"], "terms": leg["terms"]}
        return self._add("quote", args, eager=True)

    def _about_payment(self, *methods: str, **more: Any) -> dict[str, Any] | None:
        """Return what is about a payment of late, as a rule one by one of the methods."""
        fitting = [one for one in self._of("pay") if self._made[one].args["method"] in methods]
        payment = self._recent("pay")
        if fitting and self._random.random() < _FITTING:
            payment = self._random.choice(fitting[-3:])
        return None if payment is None else {"payment": payment, **more}

    def _confirm(self) -> dict[str, Any] | None:
        return self._about_payment("guaranteed")

    def _void(self) -> dict[str, Any] | None:
        return self._about_payment("guaranteed", "authorized")

    def _capture(self) -> dict[str, Any] | None:
        amount = self._random.choice((None, self._amount()))
        return self._about_payment("authorized", amount=amount, final=self._random.random() < 0.3)

    def _refund(self) -> dict[str, Any] | None:
        amount = self._random.choice((None, self._amount(), 60, 9_000))
        return self._about_payment("quick", amount=amount)

    def _dispute(self) -> dict[str, Any] | None:
        amount = self._random.choice((None, None, 60))
        return self._about_payment("quick", "guaranteed", amount=amount)

    def _resolve(self) -> dict[str, Any] | None:
        dispute = self._recent("dispute")
        if dispute is None:
            return None
        decision = self._random.choice(("refund", "release"))
        return {"payment": self._made[dispute].args["payment"], "decision": decision}

    def _hold(self) -> dict[str, Any]:
        chance = self._random
        args: dict[str, Any] = {"account": self._account(), "amount": self._amount()}
        if chance.random() < 0.5:
            args["payee"] = self._account()
        if chance.random() < 0.4:
            args["expires_in_s"] = chance.choice((2, 10, 25))
        return args

    def _hold_capture(self) -> dict[str, Any] | None:
        hold = self._recent("hold")
        if hold is None:
            return None
        amount = self._random.choice((None, self._amount(), 60))
        payee = self._made[hold].args.get("payee", self._account())
        return {"hold": hold, "amount": amount, "payee": payee,
                "final": self._random.random() < 0.3}  # fmt: skip

    def _hold_void(self) -> dict[str, Any] | None:
        hold = self._recent("hold")
        return None if hold is None else {"hold": hold}

    def _freeze(self) -> dict[str, Any]:
        amount = self._random.choice((None, self._amount()))
        return {"account": self._account(), "amount": amount}

    def _unfreeze(self) -> dict[str, Any] | None:
        freeze = self._recent("freeze")
        if freeze is None:
            return None
        frozen = self._made[freeze].args
        return {"freeze": freeze, "account": frozen["account"], "amount": frozen["amount"]}

    def _read(self) -> dict[str, Any]:
        return {"account": self._account()}

    def _again(self) -> dict[str, Any] | None:
        of = self._recent("deposit", "pay", "refund", "capture", "hold", "hold_capture")
        return None if of is None else {"of": of}

    def _conflict(self) -> dict[str, Any] | None:
        of = self._recent("deposit", "pay", "refund", "hold")
        return None if of is None else {"of": of}

    def _subscribe(self) -> dict[str, Any] | None:
        if not self._profile.wealth:
            return None
        return {"account": self._account(), "amount": self._amount()}

    def _redeem(self) -> dict[str, Any] | None:
        if not self._profile.wealth:
            return None
        return {"units": self._random.choice(self._of("subscribe")), "amount": self._amount()}

    def _settle_plan(self) -> dict[str, Any] | None:
        credited = [
            one.number
            for one in self._made
            if one.kind == "pay" and any(leg["type"] == "credit" for leg in one.args["legs"])
        ]
        return {"payment": self._random.choice(credited)} if credited else None

    def _count(self) -> dict[str, Any] | None:
        if not self._profile.packs:
            return None
        return {"counter": self._random.choice(COUNTERS), "amount": self._random.randint(1, 9)}


def _parts(chance: Random, amount: int, count: int) -> list[int]:
    """Divide an amount into that many parts, none of which is empty."""
    cuts = sorted(chance.sample(range(1, amount), count - 1))
    return [end - start for start, end in zip([0, *cuts], [*cuts, amount], strict=True)]
