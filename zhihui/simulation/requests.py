"""What a step says on the wire, with the ids of what earlier steps made."""

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from zhihui.simulation.workload import Step

__all__ = ("APP_OF", "FUND", "MADE", "Asked", "NotThere", "request_of")

FUND = "YEB"
_OFFICE = "ops"
# The steps that the bank asks for; all others are the shop's.
APP_OF = {"fund": _OFFICE, "grant": _OFFICE, "resolve": _OFFICE}
# Step kind → the field of its result that names what it made.
MADE = {
    "open": "account_id", "pay": "payment_id", "hold": "hold_id", "freeze": "hold_id",
    "subscribe": "units_account", "line": "line_id", "person": "customer_id",
    "quote": "quote_id",
}  # fmt: skip
# One that the bank's book of sample people knows.
_PERSON = 0


class NotThere(Exception):
    """What the step is about was not made, or nobody has heard that it was."""


class Asked(msgspec.Struct, kw_only=True):
    """A request as it is sent."""

    app: str
    operation: str
    body: dict[str, Any]


class _Record(Protocol):
    step: Step
    asked: Asked | None

    @property
    def result(self) -> Mapping[str, Any] | None: ...


_Records = Mapping[int, _Record]


def request_of(step: Step, records: _Records) -> Asked:
    """Return the request of a step; raise :class:`NotThere`."""
    if step.kind in ("again", "conflict"):
        return _of_another(step, records)
    operation, body = _BODIES[step.kind](step.args, _Ids(records))
    if step.kind != "read":
        body["request_id"] = step.request_id
    body = {name: value for name, value in body.items() if value is not None}
    return Asked(app=APP_OF.get(step.kind, "shop"), operation=operation, body=body)


def _of_another(step: Step, records: _Records) -> Asked:
    """Return the request of another step, which has its answer, or one with its id that differs."""
    other = records[step.args["of"]]
    if other.asked is None or other.result is None:
        raise NotThere
    body = dict(other.asked.body)
    if step.kind == "conflict":
        body["amount_minor"] = (body.get("amount_minor") or 0) + 1
    return Asked(app=other.asked.app, operation=other.asked.operation, body=body)


class _Ids:
    def __init__(self, records: _Records) -> None:
        self._records = records

    def of(self, number: int) -> str:
        """Return the id of what a step made."""
        record = self._records[number]
        if record.result is None:
            raise NotThere
        made = record.result[MADE[record.step.kind]]
        if made is None:
            raise NotThere
        return str(made)

    def args(self, number: int) -> dict[str, Any]:
        return self._records[number].step.args


_Body = tuple[str, dict[str, Any]]
_REASONED = ("payment.dispute", "payment.resolve")


def _open(args: dict[str, Any], ids: _Ids) -> _Body:
    return "account.open", {"holder": "Li Lei", "type": args["type"]}


def _deposit(args: dict[str, Any], ids: _Ids) -> _Body:
    return "account.deposit", {
        "account_id": ids.of(args["account"]), "amount_minor": args["amount"],
        "source": "external:cash",
    }  # fmt: skip


def _pay(args: dict[str, Any], ids: _Ids) -> _Body:
    return "payment.create", {
        "payee": ids.of(args["payee"]), "amount_minor": args["amount"], "method": args["method"],
        "expires_in_s": args.get("expires_in_s"),
        "funding": [_source(leg, ids) for leg in args["legs"]],
    }  # fmt: skip


def _source(leg: dict[str, Any], ids: _Ids) -> dict[str, Any]:
    found: dict[str, Any] = {"type": leg["type"], "amount_minor": leg["amount"]}
    match leg["type"]:
        case "account":
            found["account_id"] = ids.of(leg["account"])
        case "wealth":
            found["units_account"] = ids.of(leg["units"])
            found["cash_account"] = ids.of(ids.args(leg["units"])["account"])
        case "credit":
            found["line_id"] = ids.of(leg["line"])
            found["quote_id"] = ids.of(leg["quote"])
        case _:
            found["payer_reference"] = "payer-1"
    return found


def _payment(operation: str) -> Any:
    def body(args: dict[str, Any], ids: _Ids) -> _Body:
        found: dict[str, Any] = {"payment_id": ids.of(args["payment"])}
        if "amount" in args:
            found["amount_minor"] = args["amount"]
        if "final" in args:
            found["final"] = args["final"]
        if "decision" in args:
            found["decision"] = args["decision"]
        if operation in _REASONED:
            found["reason"] = "a test"
        return operation, found

    return body


def _hold(args: dict[str, Any], ids: _Ids) -> _Body:
    return "hold.place", {
        "account_id": ids.of(args["account"]), "amount_minor": args["amount"],
        "payee": ids.of(args["payee"]) if "payee" in args else None,
        "expires_in_s": args.get("expires_in_s"),
    }  # fmt: skip


def _hold_capture(args: dict[str, Any], ids: _Ids) -> _Body:
    return "hold.capture", {
        "hold_id": ids.of(args["hold"]), "amount_minor": args["amount"],
        "payee": ids.of(args["payee"]), "final": args["final"],
    }  # fmt: skip


def _hold_void(args: dict[str, Any], ids: _Ids) -> _Body:
    return "hold.void", {"hold_id": ids.of(args["hold"])}


def _freeze(args: dict[str, Any], ids: _Ids) -> _Body:
    return "account.freeze", {
        "account_id": ids.of(args["account"]), "reason": "a test",
        "amount_minor": args["amount"],
    }  # fmt: skip


def _unfreeze(args: dict[str, Any], ids: _Ids) -> _Body:
    if args["amount"] is None:
        return "account.unfreeze", {"account_id": ids.of(args["account"])}
    return "account.unfreeze", {"hold_id": ids.of(args["freeze"])}


def _read(args: dict[str, Any], ids: _Ids) -> _Body:
    return "account.get", {"account_id": ids.of(args["account"])}


def _fund(args: dict[str, Any], ids: _Ids) -> _Body:
    advance = {"advanced_by": "own_bank", "limit_minor": 10**9}
    return "fund.create", {"fund": FUND, "name": "Money", "confirm_days": 0, "advance": advance}


def _subscribe(args: dict[str, Any], ids: _Ids) -> _Body:
    return "wealth.subscribe", {
        "fund": FUND, "cash_account": ids.of(args["account"]), "amount_minor": args["amount"],
    }  # fmt: skip


def _redeem(args: dict[str, Any], ids: _Ids) -> _Body:
    return "wealth.redeem", {
        "units_account": ids.of(args["units"]), "amount_minor": args["amount"], "instant": True,
    }  # fmt: skip


def _person(args: dict[str, Any], ids: _Ids) -> _Body:
    from actors.customers.reference_source import read_reference

    person = read_reference().people[_PERSON]
    return "customer.register", {
        "name": person.name, "id_number": person.id_number, "phone": person.phone,
    }  # fmt: skip


def _line(args: dict[str, Any], ids: _Ids) -> _Body:
    return "credit.apply", {
        "customer_id": ids.of(args["person"]), "kind": "instalment",
        "account_id": ids.of(args["account"]), "limit_minor": 10_000_000,
    }  # fmt: skip


def _grant(args: dict[str, Any], ids: _Ids) -> _Body:
    return "credit.grant", {
        "line_id": ids.of(args["line"]), "limit_minor": args["limit"], "decided_by": "clerk",
    }  # fmt: skip


def _quote(args: dict[str, Any], ids: _Ids) -> _Body:
    return "credit.quote", {
        "line_id": ids.of(args["line"]), "amount_minor": args["amount"], "terms": args["terms"],
    }  # fmt: skip


def _settle_plan(args: dict[str, Any], ids: _Ids) -> _Body:
    # The plan and what it costs to end it are asked for before this is sent.
    return "credit.settle", {"plan_id": ids.of(args["payment"])}


def _count(args: dict[str, Any], ids: _Ids) -> _Body:
    return "counter.add", {"counter_id": args["counter"], "amount_minor": args["amount"]}


_BODIES: dict[str, Any] = {
    "open": _open, "deposit": _deposit, "pay": _pay, "confirm": _payment("payment.confirm"),
    "capture": _payment("payment.capture"), "void": _payment("payment.void"),
    "refund": _payment("payment.refund"),
    "dispute": _payment("payment.dispute"), "resolve": _payment("payment.resolve"),
    "hold": _hold, "hold_capture": _hold_capture,
    "hold_void": _hold_void, "freeze": _freeze, "unfreeze": _unfreeze, "read": _read,
    "fund": _fund, "subscribe": _subscribe, "redeem": _redeem, "person": _person, "line": _line,
    "grant": _grant, "quote": _quote, "settle_plan": _settle_plan, "count": _count,
}  # fmt: skip
