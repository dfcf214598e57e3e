"""The workload: reproducible, uneven as stated, and the same across the command line."""

from collections import Counter

import pytest

from loadtest.plan import Plan, plan_from_arguments, plan_to_arguments
from loadtest.workload import AMOUNT_MINOR_MAX, Population, draw_payments, payer_id

_SMALL = Population(payers=1000, payees=20)


def test_a_seed_gives_the_same_payments() -> None:
    """Two draws with one seed are equal, with another seed they are not."""
    assert draw_payments(_SMALL, 500, 7) == draw_payments(_SMALL, 500, 7)
    assert draw_payments(_SMALL, 500, 7) != draw_payments(_SMALL, 500, 8)


def test_payers_follow_zipf() -> None:
    """Under Zipf 1.0 the first payer of 1,000 makes 1/H(1000), 13 %, and twice the second's."""
    counts = Counter(draw.payer for draw in draw_payments(_SMALL, 20_000, 1))
    assert 0.12 < counts[payer_id(1)] / 20_000 < 0.15
    assert 1.7 < counts[payer_id(1)] / counts[payer_id(2)] < 2.3


def test_amounts_and_payees_stay_in_their_range() -> None:
    """Amounts are 1 to the maximum, and every payee is used."""
    draws = draw_payments(_SMALL, 5_000, 1)
    assert {1, AMOUNT_MINOR_MAX} <= {draw.amount_minor for draw in draws}
    assert all(1 <= draw.amount_minor <= AMOUNT_MINOR_MAX for draw in draws)
    assert len({draw.payee for draw in draws}) == _SMALL.payees


@pytest.mark.parametrize("allow_host", [None, "load.example"])
def test_a_plan_survives_the_command_line(allow_host: str | None) -> None:
    """The arguments made of a plan are read as the same plan."""
    plan = Plan(
        url="nats://127.0.0.1:4222",
        subject="zh.v1.bench.payment.create",
        in_flight=3,
        warmup_s=0.25,
        seconds=1.5,
        seed=9,
        population=Population(payers=5, payees=2, zipf=0.5),
        allow_host=allow_host,
    )
    assert plan_from_arguments(plan_to_arguments(plan)) == plan
