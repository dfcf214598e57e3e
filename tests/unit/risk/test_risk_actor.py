"""The risk actor between a payment and the journal, on a store in memory."""

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.risk.past import PAST_AGE_S_MAX
from schemas.errors import NotFound
from schemas.risk import RISK_REVIEW_TYPE, GeoPoint, RiskCheck
from tests.unit.risk.facts import MORNING_MS, facts, rule
from tests.unit.risk.race import race
from tests.unit.risk.risk_lab import check_of, memory_lab

pytestmark = pytest.mark.anyio

_SHANGHAI = GeoPoint(31_230_400, 121_473_700)
_BEIJING = GeoPoint(39_904_200, 116_407_400)
_HIT = ("rule_id", "stage", "effect", "outcome", "rules_version", "request_id", "subject")


async def test_a_movement_that_no_rule_minds_is_counted_and_made() -> None:
    """It costs one row beside its own, and nothing is read for it."""
    lab = memory_lab(rule("velocity"))
    await lab.open("acct_a", "acct_b")
    assert await lab.pay(check_of(facts())) == ["ok"]
    (tally,) = await lab.rows("tally", "tally_id", "count", "amount_minor")
    assert tally[0].startswith("risk:velocity:cust_1:")
    assert tally[1:] == (1, 500)
    assert await lab.rows("risk_hit", "rule_id") == []
    statistics = lab.actor.statistics()
    assert (statistics.approved, statistics.past.queries) == (1, 0)
    assert statistics.decision_times.decisions == 1


async def test_a_declined_movement_is_remembered_with_its_hits() -> None:
    """Nothing moves, the rows say why, and the same request gets the same answer."""
    lab = memory_lab(rule("amount", reason="too_much"), rule("amount", "watch", stage="shadow"))
    await lab.open("acct_a", "acct_b")
    check = check_of(facts(amount_minor=5_000))
    assert await lab.message(check) == "declined by the risk rules: too_much"
    assert await lab.pay(check, check) == ["risk_declined"] * 2
    assert await lab.rows("payment", "payment_id") == []
    assert await lab.rows("tally", "tally_id") == []
    assert await lab.rows("risk_hit", *_HIT) == [
        ("amount", "live", "decline", "decline", 1, "r1", "pay_1"),
        ("watch", "shadow", "decline", "decline", 1, "r1", "pay_1"),
    ]


async def test_what_stood_stays_when_it_is_sent_again_under_stricter_rules() -> None:
    """The journal answers a known request, and no hit is written for what was not decided anew."""
    lab = memory_lab()
    await lab.open("acct_a", "acct_b")
    check = check_of(facts(amount_minor=5_000))
    assert await lab.pay(check) == ["ok"]
    lab.put(2, rule("amount"))
    assert await lab.pay(check) == ["ok"]
    assert await lab.pay(check_of(facts(amount_minor=5_000, subject="pay_2"), "r2")) == [
        "risk_declined"
    ]
    assert await lab.rows("risk_hit", *_HIT) == [
        ("amount", "live", "decline", "decline", 2, "r2", "pay_2")
    ]


async def test_a_step_up_is_satisfied_by_a_new_request_with_factors() -> None:
    """Then the device is known, and the next payment from it asks for nothing, on any node."""
    lab = memory_lab(rule("new_device", action="step_up"))
    await lab.open("acct_a", "acct_b")
    bare = facts(device_id="d")
    assert await lab.message(check_of(bare)) == (
        "new_device: verify the customer with at least 1 of password, sms, biometric, "
        "certificate, and send a new request that carries the factors"
    )
    assert await lab.rows("tally", "tally_id") == []
    proven = facts(device_id="d", factors=("password",), subject="pay_2")
    assert await lab.pay(check_of(proven, "r2")) == ["ok"]
    assert await lab.rows("tally", "tally_id", "count") == [("risk:new-device:cust_1/d", 1)]
    assert await lab.pay(check_of(facts(device_id="d", subject="pay_3"), "r3")) == ["ok"]
    lab.new_actor()
    assert await lab.pay(check_of(facts(device_id="d", subject="pay_4"), "r4")) == ["ok"]
    assert await lab.rows("tally", "tally_id", "count") == [("risk:new-device:cust_1/d", 1)]
    assert [row[0:4] for row in await lab.rows("risk_hit", *_HIT)] == [
        ("new-device", "live", "approve", "approve"),
        ("new-device", "live", "step_up", "step_up"),
    ]


async def test_a_review_takes_the_other_way() -> None:
    """It is counted and waits; what it used does not become known, and without a way it is none."""
    lab = memory_lab(
        rule("amount", action="review"), rule("velocity"), rule("new_payee", stage="shadow")
    )
    await lab.open("acct_a", "acct_b")
    check = check_of(facts(amount_minor=5_000), reviewable=True)
    assert await lab.pay(check) == ["ok"]
    assert await lab.rows("payment_order", "payment_id", "status") == [("pay_1", "in_review")]
    ((tally_id, count),) = await lab.rows("tally", "tally_id", "count")
    assert (tally_id.rpartition(":")[0], count) == ("risk:velocity:cust_1", 1)
    cannot_wait = check_of(facts(amount_minor=5_000, subject="pay_2"), "r2")
    assert await lab.pay(cannot_wait) == ["risk_declined"]
    assert [row[:4] for row in await lab.rows("risk_hit", *_HIT)] == [
        ("amount", "live", "review", "decline"),
        ("amount", "live", "review", "review"),
        ("new-payee", "shadow", "decline", "decline"),
        ("new-payee", "shadow", "decline", "review"),
    ]


async def test_a_reviewer_makes_the_other_way_when_it_is_needed() -> None:
    """The check goes to the reviewer uncounted, and what comes back is decided and counted once."""
    lab = memory_lab(rule("amount", action="review"), rule("velocity", stage="shadow"))
    await lab.open("acct_a", "acct_b")
    bare = check_of(facts(amount_minor=5_000))
    asked = msgspec.structs.replace(bare, reviewer="payment_review")
    small = check_of(facts(subject="pay_2"), "r2")
    to_reviewer, to_journal = await lab.decide([asked, small])
    assert (to_reviewer.kind, to_reviewer.key, to_reviewer.type, to_reviewer.reply_id) == (
        "payment_review", "pay_1", RISK_REVIEW_TYPE, 0,
    )  # fmt: skip
    assert await lab.commit([to_journal]) == ["ok"]
    sent = msgspec.msgpack.decode(to_reviewer.body, type=RiskCheck)
    assert sent == asked
    back = check_of(facts(amount_minor=5_000), reviewable=True)
    assert await lab.pay(msgspec.structs.replace(sent, reviewed=back.reviewed)) == ["ok"]
    assert await lab.rows("payment_order", "payment_id", "status") == [("pay_1", "in_review")]
    assert await lab.rows("tally", "count") == [(2,)]
    statistics = lab.actor.statistics()
    assert (statistics.approved, statistics.reviewed, statistics.declined) == (1, 1, 0)


async def test_shadow_rules_are_seen_and_not_felt() -> None:
    """A movement for which only shadow rules fire stands, with the rows that say so."""
    lab = memory_lab(rule("amount", stage="shadow"), rule("velocity", stage="shadow", count_max=1))
    await lab.open("acct_a", "acct_b")
    for number in range(3):
        one = facts(amount_minor=5_000, subject=f"pay_{number}")
        assert await lab.pay(check_of(one, f"r{number}")) == ["ok"]
    hits = [(row[6], row[0], row[2], row[3]) for row in await lab.rows("risk_hit", *_HIT)]
    assert sorted(hits) == [
        ("pay_0", "amount", "decline", "approve"),
        ("pay_1", "amount", "decline", "approve"),
        ("pay_1", "velocity", "decline", "approve"),
        ("pay_2", "amount", "decline", "approve"),
        ("pay_2", "velocity", "decline", "approve"),
    ]


async def test_windows_begin_with_what_was_committed() -> None:
    """After a restart, and within one batch, a velocity rule counts all that stands."""
    lab = memory_lab(rule("velocity", action="review", buckets=24))
    await lab.open("acct_a", "acct_b")
    one = [check_of(facts(subject=f"pay_{n}"), f"r{n}") for n in range(5)]
    assert await lab.pay(one[0], one[1]) == ["ok"] * 2
    lab.new_actor()
    # Five hours on, they lie in an older bucket of the same day.
    late = [
        check_of(facts(subject=f"pay_{n}", at_ms=MORNING_MS + 5 * 3_600_000), f"r{n}")
        for n in (2, 3, 4)
    ]
    assert await lab.pay(*late) == ["ok", "risk_declined", "risk_declined"]
    assert lab.actor.statistics().past.queries == 1


async def test_what_the_journal_refused_is_forgotten_after_a_while() -> None:
    """A window holds what was handed on; read anew it holds what stands."""
    lab = memory_lab(rule("velocity", action="review"))
    await lab.open("acct_a", "acct_b")
    poor = [check_of(facts(payer="nobody", subject=f"pay_{n}"), f"r{n}") for n in range(3)]
    assert await lab.pay(*poor) == ["not_found"] * 3
    assert await lab.pay(check_of(facts(), "r4")) == ["risk_declined"]
    lab.clock.advance(PAST_AGE_S_MAX + 1)
    assert await lab.pay(check_of(facts(), "r5")) == ["ok"]


async def test_places_are_kept_while_a_rule_asks_for_them() -> None:
    """Another node finds the last place; without such a rule no place is written."""
    lab = memory_lab(rule("geo_speed", action="review"))
    await lab.open("acct_a", "acct_b")
    assert await lab.pay(check_of(facts(geo=_SHANGHAI), "r1")) == ["ok"]
    lab.new_actor()
    later = facts(geo=_BEIJING, at_ms=MORNING_MS + 3_600_000, subject="pay_2")
    assert await lab.pay(check_of(later, "r2")) == ["risk_declined"]
    ((customer, latitude, longitude),) = await lab.rows(
        "risk_place", "customer", "latitude_udeg", "longitude_udeg"
    )
    assert (customer, latitude, longitude) == ("cust_1", *msgspec.structs.astuple(_SHANGHAI))
    # In one batch the second is judged by the first.
    lab.new_actor()
    near = msgspec.structs.replace(later, at_ms=MORNING_MS + 8 * 3_600_000, subject="pay_3")
    far = msgspec.structs.replace(near, geo=_SHANGHAI, subject="pay_4")
    assert await lab.pay(check_of(near, "r3"), check_of(far, "r4")) == ["ok", "risk_declined"]
    lab.put(2)
    assert await lab.pay(check_of(facts(geo=_SHANGHAI, subject="pay_5"), "r5")) == ["ok"]
    assert len(await lab.rows("risk_place", "customer")) == 2


async def test_what_was_refused_before_is_passed_on() -> None:
    """A change without alternatives is not decided: only the journal has to remember it."""
    lab = memory_lab(rule("amount"))
    check = check_of(facts(amount_minor=5_000))
    refused = msgspec.structs.replace(
        check.change, alternatives=(), rejection=NotFound("gone").body()
    )
    assert await lab.pay(msgspec.structs.replace(check, change=refused)) == ["not_found"]
    assert lab.actor.statistics().declined == 0


@pytest.mark.parametrize("buckets", [1, 24])
async def test_two_hundred_race_at_a_limit(buckets: int) -> None:
    """However many nodes and batches they come through, exactly the allowed number pass."""
    lab = memory_lab(rule("velocity", count_max=37, buckets=buckets))
    await race(lab, allowed=37, seed=7)


async def test_a_limit_reaches_back_over_its_window() -> None:
    """What was counted in the buckets before is part of the limit, and is not after the window."""
    lab = memory_lab(rule("velocity", window_s=3_600, buckets=4, count_max=2))
    await lab.open("acct_a", "acct_b")
    answers = []
    for number, minutes in enumerate((0, 15, 30, 45, 60, 90)):
        one = facts(subject=f"pay_{number}", at_ms=MORNING_MS + minutes * 60_000)
        answers += await lab.pay(check_of(one, f"r{number}"))
    refused = "limit_exceeded"
    assert answers == ["ok", "ok", refused, refused, "ok", "ok"]


async def test_a_clock_behind_does_not_pass_a_limit() -> None:
    """A movement stamped just before a new bucket counts what others have stamped after it."""
    lab = memory_lab(rule("velocity", window_s=3_600, buckets=4, count_max=2))
    await lab.open("acct_a", "acct_b")
    ahead = [check_of(facts(subject=f"pay_{n}", at_ms=MORNING_MS), f"r{n}") for n in (1, 2)]
    assert await lab.pay(*ahead) == ["ok", "ok"]
    behind = check_of(facts(subject="pay_3", at_ms=MORNING_MS - 1), "r3")
    assert await lab.pay(behind) == ["limit_exceeded"]


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=25),
    st.integers(1, 1_000),
    st.integers(0, 99),
)
async def test_a_sum_is_never_passed(amounts: list[int], most: int, seed: int) -> None:
    """What passes is what a count of one after the other lets pass, and never more than the sum."""
    lab = memory_lab(rule("velocity", count_max=None, amount_max_minor=most, buckets=2))
    await lab.open("acct_a", "acct_b")
    order = list(enumerate(amounts))
    random.Random(seed).shuffle(order)  # noqa: S311 - reproducible on purpose
    checks = [
        check_of(facts(amount_minor=amount, subject=f"pay_{n}"), f"r{n}") for n, amount in order
    ]
    answers = await lab.pay(*checks)
    used = 0
    for (_, amount), answer in zip(order, answers, strict=True):
        passes = used + amount <= most
        assert answer == ("ok" if passes else "limit_exceeded")
        used += amount if passes else 0
