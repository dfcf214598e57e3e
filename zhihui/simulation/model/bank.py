"""The whole model: it plays one step, or one thing that happens by itself, after the other."""

import pickle
from typing import Any

from zhihui.simulation.model.books import OUTSIDE, Account, Books, Refused, demand
from zhihui.simulation.model.payments import Payments
from zhihui.simulation.workload import Step

__all__ = ("Bank",)

_Args = dict[str, Any]
_Answer = dict[str, Any]


class Bank:
    """See the package. Everything is known by the number of the step that made it."""

    def __init__(self) -> None:
        self.books = Books()
        self.payments = Payments(self.books)
        self.counters: dict[str, int] = {}
        # Line → the account that repays it; holding → the account that bought it.
        self._owners: dict[int, int] = {}

    def play(self, step: Step, body: _Args) -> tuple[str, _Answer]:
        """Return 'committed' and what must be in the answer, or the code of a refusal.

        ``body`` is what was sent. A refusal leaves everything as it was.
        """
        before = pickle.dumps(self.__dict__)
        try:
            answer: _Answer = getattr(self, f"_{step.kind}")(step.number, step.args, body)
        except Refused as refused:
            self.__dict__.update(pickle.loads(before))  # noqa: S301 - our own of a moment ago
            return str(refused), {}
        return "committed", answer

    def _open(self, number: int, args: _Args, body: _Args) -> _Answer:
        self.books.accounts[number] = Account()
        return {"status": "open"}

    def _deposit(self, number: int, args: _Args, body: _Args) -> _Answer:
        self.books.move(OUTSIDE, args["account"], args["amount"])
        return {"amount_minor": args["amount"]}

    def _pay(self, number: int, args: _Args, body: _Args) -> _Answer:
        legs = [one | {"owner": self._owners.get(one.get("units", one.get("line", -1)))}
                for one in args["legs"]]  # fmt: skip
        return self.payments.pay(number, args["payee"], args["amount"], args["method"], legs)

    def _confirm(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.confirm(args["payment"])

    def _capture(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.capture(args["payment"], args["amount"], final=args["final"])

    def _void(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.void(args["payment"])

    def _refund(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.refund(args["payment"], args["amount"])

    def _dispute(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.dispute(args["payment"], args["amount"])

    def _resolve(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.resolve(args["payment"], args["decision"])

    def _hold(self, number: int, args: _Args, body: _Args) -> _Answer:
        demand(args.get("payee") != args["account"], "self_payment")
        self.books.place(number, args["account"], args["amount"], "hold")
        return {"status": "open", "amount_minor": args["amount"]}

    def _hold_capture(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.books.capture(args["hold"], args["payee"], args["amount"], final=args["final"])

    def _hold_void(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.books.release(args["hold"], "voided")

    def hold_expired(self, number: int) -> None:
        """Give back a hold that nobody captured in time."""
        self.books.release(number, "expired")

    def _freeze(self, number: int, args: _Args, body: _Args) -> _Answer:
        account = self.books.account(args["account"])
        if args["amount"] is None:
            demand(account.status == "open", "invalid_state")
            account.status = "frozen"
        else:
            self.books.place(number, args["account"], args["amount"], "freeze")
        return {}

    def _unfreeze(self, number: int, args: _Args, body: _Args) -> _Answer:
        if args["amount"] is None:
            account = self.books.account(args["account"])
            demand(account.status == "frozen", "invalid_state")
            account.status = "open"
        else:
            self.books.release(args["freeze"], "voided", "freeze")
        return {}

    # Wealth.

    def _fund(self, number: int, args: _Args, body: _Args) -> _Answer:
        self.books.accounts["fund"] = Account(None)
        return {}

    def _subscribe(self, number: int, args: _Args, body: _Args) -> _Answer:
        owner = args["account"]
        self.books.account(owner)
        self.books.accounts.setdefault(("units", owner), Account())
        self._owners[number] = owner
        self.books.move(owner, "fund", args["amount"])
        self.books.move("fund", ("units", owner), args["amount"])
        return {"status": "confirmed"}

    def _redeem(self, number: int, args: _Args, body: _Args) -> _Answer:
        owner = self._owners[args["units"]]
        self.books.move(("units", owner), "fund", args["amount"])
        self.books.move("fund", owner, args["amount"])
        return {"status": "paid"}

    # Credit.

    def _person(self, number: int, args: _Args, body: _Args) -> _Answer:
        return {}

    def _line(self, number: int, args: _Args, body: _Args) -> _Answer:
        self._owners[number] = args["account"]
        self.books.accounts["line", number] = Account()
        return {}

    def _grant(self, number: int, args: _Args, body: _Args) -> _Answer:
        self.books.accounts["line", args["line"]].floor = -args["limit"]
        return {"status": "active"}

    def _quote(self, number: int, args: _Args, body: _Args) -> _Answer:
        return {}

    def _settle_plan(self, number: int, args: _Args, body: _Args) -> _Answer:
        return self.payments.settle_plan(args["payment"], body["total_minor"])

    # A pack.

    def _count(self, number: int, args: _Args, body: _Args) -> _Answer:
        name = args["counter"]
        self.counters[name] = self.counters.get(name, 0) + args["amount"]
        return {"total": self.counters[name]}
