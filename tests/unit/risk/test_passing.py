"""What the risk actor hands on is what it was given, byte for byte."""

import msgspec
import pytest

from actors.risk import _passing
from actors.risk._passing import PassedCheck, decode_check, with_counts, with_facts
from schemas import change, ledger, risk
from schemas.change import Alternative, Change, Event, Fact, Timer
from schemas.errors import RiskDeclined
from schemas.ledger import Moves, NewAccount, Posting, StatusStep, TallyStep, encode_moves
from schemas.risk import GeoPoint, RiskCheck, RiskFacts

_encode = msgspec.msgpack.encode
_COUNTS = (TallyStep("risk:day:a:1", 1, 250, name=""), TallyStep("mark", name=""))
_ROWS = (Fact("risk_hit", ("r1", 7, None)),)


def _way(*steps: ledger.Step) -> Alternative:
    moves = Moves((NewAccount("n", "shop", "CNY", 0, None),), (Posting("a", "b", 5, "CNY"),), steps)
    body = msgspec.Raw(_encode(["body"]))
    return Alternative(
        encode_moves(moves), (Fact("payment", ("p1", 5, True)),),
        (Event("payment.succeeded", "p1", '{"a":"é"}'),), '{"a":"é"}',
        (Timer("t", 5, "kind", "key", "due", "shop", body),), ("gone",),
    )  # fmt: skip


def _check() -> RiskCheck:
    wanted = Change(
        "shop", "r1", "payment.create", b"0123456789abcdef", (_way(), _way(_COUNTS[0])),
        RiskDeclined("no").body(), 3, 4, _ROWS,
    )  # fmt: skip
    facts = RiskFacts("shop", "p1", "c1", "a", "b", 5, "quick", 1_764_000_000_000,
                      geo=GeoPoint(1, 2), factors=("otp",))  # fmt: skip
    return RiskCheck(wanted, facts, (_way(),), "payment_order")


@pytest.mark.parametrize(
    ("passed", "whole"),
    [
        (_passing.PassedAlternative, change.Alternative),
        (_passing.PassedChange, change.Change),
        (_passing.PassedCheck, risk.RiskCheck),
        (_passing._PassedMoves, ledger.Moves),
    ],
)
def test_the_fields_are_those_of_the_message(
    passed: type[msgspec.Struct], whole: type[msgspec.Struct]
) -> None:
    """A field that a message gets must be handed on as well."""
    assert passed.__struct_fields__ == whole.__struct_fields__
    assert passed.__struct_config__.array_like
    assert [field.required for field in msgspec.structs.fields(passed)] == [
        field.required for field in msgspec.structs.fields(whole)
    ]


def test_a_check_goes_on_as_it_came() -> None:
    """Nothing of it is lost, and what a shorter message leaves out has its default."""
    body = _encode(_check())
    assert _encode(decode_check(body)) == body
    short = _encode([["shop", "r1", "op", b"d" * 16, [[Moves(), [], [], "{}"]]], _check().facts])
    read = msgspec.msgpack.decode(_encode(decode_check(short)), type=RiskCheck)
    assert read == msgspec.msgpack.decode(short, type=RiskCheck)


@pytest.mark.parametrize("steps", [(), (_COUNTS[0],), (StatusStep("a", "frozen"), _COUNTS[1])])
def test_counts_come_after_the_steps_that_are_there(steps: tuple[ledger.Step, ...]) -> None:
    """The rest of the moves stays."""
    moves = _way(*steps).moves
    before = msgspec.msgpack.decode(moves, type=Moves)
    after = msgspec.msgpack.decode(with_counts(moves, _COUNTS), type=Moves)
    assert after == msgspec.structs.replace(before, steps=steps + _COUNTS)
    shorter = msgspec.Raw(_encode([[]]))
    assert msgspec.msgpack.decode(with_counts(shorter, _COUNTS), type=Moves).steps == _COUNTS


def test_rows_come_after_the_rows_that_are_there() -> None:
    """A rule that fired is told of beside the payment's own row."""
    one = decode_check(_encode(_check())).change.alternatives[0]
    assert isinstance(decode_check(_encode(_check())), PassedCheck)
    facts = msgspec.msgpack.decode(with_facts(one.facts, _ROWS), type=tuple[Fact, ...])
    assert [fact.table for fact in facts] == ["payment", "risk_hit"]
    assert list(facts[1].row) == ["r1", 7, None]
