"""Each kind of rule, and what several of them come to together."""

from typing import Any

import pytest

from actors.risk.engine import Engine, Want
from actors.risk.geo import Place
from actors.risk.history import MemoryHistory
from actors.risk.rule_document import default_rules
from actors.risk.windows import Window
from schemas.risk import GeoPoint, RiskFacts
from tests.unit.risk.facts import DAY_MS, MORNING_MS, engine_of, facts, remember, rule

_SHANGHAI = GeoPoint(31_230_400, 121_473_700)
_BEIJING = GeoPoint(39_904_200, 116_407_400)
_EMPTY = MemoryHistory()


def _outcome(engine: Engine, one: RiskFacts, history: MemoryHistory = _EMPTY) -> str:
    return engine.decide(one, history).outcome


@pytest.mark.parametrize(
    ("one", "fires", "spared"),
    [
        (rule("amount"), {"amount_minor": 1_001}, {"amount_minor": 1_000}),
        (rule("merchant_category"), {"merchant_category": "7995"}, {"merchant_category": "5411"}),
        (rule("merchant_category"), {"merchant_category": "7995"}, {}),
        (rule("list"), {"payee": "acct_bad"}, {"payee": "acct_b"}),
        (rule("list", mode="only", values=["acct_b"]), {"payee": "acct_c"}, {"payee": "acct_b"}),
        (rule("list", subject="device", values=["d"]), {"device_id": "d"}, {"device_id": "e"}),
        (rule("list", subject="app", values=["shop"]), {"app": "shop"}, {"app": "gym"}),
        (rule("list", subject="account", values=["acct_a"]), {}, {"payer": "acct_z"}),
        (rule("list", subject="customer", values=["cust_1"]), {}, {"customer": "cust_2"}),
        (rule("new_device"), {"device_id": "d"}, {}),
        (rule("new_payee"), {"payee": "acct_b"}, {"payee": ""}),
        (rule("amount", when={"methods": ["quick"]}, above_minor=1), {}, {"method": "qr_static"}),
        (rule("amount", when={"apps": ["shop"]}, above_minor=1), {}, {"app": "gym"}),
        (
            rule("amount", when={"payee_types": ["merchant"]}, above_minor=1),
            {"payee_type": "merchant"},
            {"payee_type": "customer"},
        ),
        (
            rule("new_payee", when={"amount_min_minor": 500, "amount_max_minor": 600}),
            {"amount_minor": 600},
            {"amount_minor": 601},
        ),
        (rule("new_payee", when={"amount_max_minor": 499}), {"amount_minor": 499}, {}),
    ],
)
def test_a_rule_fires_for_what_it_names(
    one: dict[str, Any], fires: dict[str, Any], spared: dict[str, Any]
) -> None:
    """Each kind fires on its side of the bound and not on the other."""
    engine = engine_of(one)
    decision = engine.decide(facts(**fires), _EMPTY)
    assert (decision.outcome, decision.reasons) == ("decline", (one["reason"],))
    assert [hit.rule_id for hit in decision.hits] == [one["id"]]
    assert engine.decide(facts(**spared), _EMPTY).hits == ()


@pytest.mark.parametrize(
    ("hours", "fires"),
    [((23, 6), {23, 0, 5}), ((9, 11), {9, 10}), ((0, 6), {0, 5})],
)
def test_night_is_counted_in_shanghai(hours: tuple[int, int], fires: set[int]) -> None:
    """The hours from the first until just before the last fire, past midnight too."""
    engine = engine_of(rule("night", from_hour=hours[0], to_hour=hours[1]))
    midnight_ms = MORNING_MS - 10 * 3_600_000
    for hour in (22, 23, 0, 5, 6, 8, 9, 10, 11):
        at_ms = midnight_ms + hour * 3_600_000
        for moment in (at_ms, at_ms + 3_599_999):
            assert (_outcome(engine, facts(at_ms=moment)) == "decline") == (hour in fires)


def test_speed_is_measured_from_the_last_place() -> None:
    """Shanghai to Beijing in an hour is too fast, in two it is not, nor is the far past."""
    engine = engine_of(rule("geo_speed", within_s=7_200))
    history = MemoryHistory()
    one = facts(geo=_BEIJING)
    assert _outcome(engine, one, history) == "approve"
    for before_ms, outcome in ((3_600_000, "decline"), (3_900_000, "approve"), (0, "decline")):
        history.places["cust_1"] = Place(_SHANGHAI, MORNING_MS - before_ms)
        assert _outcome(engine, one, history) == outcome
    history.places["cust_1"] = Place(_SHANGHAI, MORNING_MS - 7_200_001)
    assert _outcome(engine_of(rule("geo_speed", kmh_max=100)), one, history) == "decline"
    assert _outcome(engine_of(rule("geo_speed", kmh_max=100, within_s=7_200)), one, history) == (
        "approve"
    )
    near = GeoPoint(_BEIJING.latitude_udeg + 30_000, _BEIJING.longitude_udeg)
    history.places["cust_1"] = Place(near, MORNING_MS)
    assert _outcome(engine, one, history) == "approve"


def test_velocity_counts_this_movement_too() -> None:
    """The fourth of a day at most three fires, and the next day begins at nothing."""
    engine = engine_of(rule("velocity", action="review"))
    history = MemoryHistory()
    outcomes = []
    for _ in range(5):
        outcomes.append(_outcome(engine, facts(), history))
        remember(engine, history, facts())
    assert outcomes == ["approve"] * 3 + ["review"] * 2
    assert _outcome(engine, facts(at_ms=MORNING_MS + DAY_MS), history) == "approve"
    assert _outcome(engine, facts(customer="cust_2"), history) == "approve"


def test_velocity_sums_amounts() -> None:
    """A sum may be reached and not passed."""
    engine = engine_of(rule("velocity", action="review", count_max=None, amount_max_minor=1_000))
    history = MemoryHistory()
    remember(engine, history, facts())
    assert _outcome(engine, facts(amount_minor=500), history) == "approve"
    assert _outcome(engine, facts(amount_minor=501), history) == "review"


@pytest.mark.parametrize(
    ("per", "field", "name"),
    [
        ("customer", "customer", "x"),
        ("account", "payer", "x"),
        ("device", "device_id", "shop/x"),
        ("payee", "payee", "x"),
        ("app", "app", "x"),
    ],
)
def test_velocity_is_kept_for_each_subject(per: str, field: str, name: str) -> None:
    """Every subject has a window of its own, a device one in each app."""
    engine = engine_of(rule("velocity", action="review", per=per))
    (want,) = engine.wants(facts(**{field: "x"}))
    assert want.name == f"risk:velocity:{name}"
    (step,) = engine.steps(facts(**{field: "x"}), _EMPTY, frozenset()).counts
    assert step.tally_id == want.tallies[-1]


def test_a_movement_without_the_subject_is_not_counted() -> None:
    """What nobody knows is no subject: all payments without a device are not one device."""
    engine = engine_of(rule("velocity", action="review", per="device"))
    assert engine.wants(facts()) == ()
    assert engine.steps(facts(), _EMPTY, frozenset()).counts == ()
    assert _outcome(engine, facts()) == "approve"


def test_a_limit_is_reserved_and_not_judged() -> None:
    """A live velocity rule that declines becomes a bounded step over its window, and no query."""
    engine = engine_of(rule("velocity", window_s=3_600, buckets=3, amount_max_minor=9_000))
    assert engine.wants(facts()) == ()
    history = MemoryHistory()
    window = history.windows["risk:velocity:cust_1"] = Window(3)
    window.add(10**6, 99, 99)
    assert _outcome(engine, facts(), history) == "approve"
    (step,) = engine.steps(facts(), history, frozenset()).counts
    bucket = int(step.tally_id.rpartition(":")[2])
    assert step.tally_id == f"risk:velocity:cust_1:{bucket}"
    assert step.window == tuple(f"risk:velocity:cust_1:{bucket + other}" for other in (-2, -1, 1))
    assert (step.count, step.amount_minor, step.count_max, step.amount_max) == (1, 500, 3, 9_000)
    assert step.code == "limit_exceeded"
    assert step.message.startswith("risk limit velocity (velocity): at most 3 payments and 9000")


@pytest.mark.parametrize("change", [{"stage": "shadow"}, {"action": "review"}])
def test_what_is_no_limit_is_counted_without_a_bound(change: dict[str, Any]) -> None:
    """A shadow or a milder rule counts in the ledger and never refuses there."""
    engine = engine_of(rule("velocity", **change))
    (step,) = engine.steps(facts(), _EMPTY, frozenset()).counts
    assert (step.count_max, step.amount_max, step.window) == (None, None, ())
    (want,) = engine.wants(facts())
    assert want == Want(step.tally_id.rpartition(":")[0], (step.tally_id,), 1)


def test_a_rule_that_is_off_does_nothing() -> None:
    """Off is neither evaluated nor counted."""
    engine = engine_of(rule("velocity", stage="off"), rule("amount", stage="off"))
    one = facts(amount_minor=5_000)
    assert engine.decide(one, _EMPTY).hits == ()
    assert engine.steps(one, _EMPTY, frozenset()).counts == ()


def test_a_new_device_is_known_after_the_first_payment_that_stands() -> None:
    """The mark is set once, under the name that is asked for."""
    engine = engine_of(rule("new_device", action="step_up"))
    history = MemoryHistory()
    one = facts(device_id="d")
    (mark,) = engine.steps(one, history, frozenset()).marks
    assert engine.wants(one) == (Want(mark.tally_id, (mark.tally_id,)),)
    history.marks.add(mark.tally_id)
    assert _outcome(engine, one, history) == "approve"
    assert engine.steps(one, history, frozenset()).marks == ()
    assert _outcome(engine, facts(device_id="d", customer="cust_2"), history) == "step_up"


def test_the_strictest_demand_wins() -> None:
    """Decline stands before step-up, that before review; reasons come in the same order."""
    rules = [
        rule("amount", "see", "review", above_minor=1),
        rule("amount", "prove", "step_up", above_minor=1),
        rule("amount", "no", "decline", above_minor=1),
        rule("amount", "watch", "review", above_minor=1),
    ]
    decision = engine_of(*rules).decide(facts(), _EMPTY)
    assert decision.outcome == "decline"
    assert decision.reasons == ("no", "prove", "see", "watch")
    decision = engine_of(rules[0], rules[1], rules[3]).decide(facts(), _EMPTY)
    assert (decision.outcome, decision.reasons) == ("step_up", ("prove", "see", "watch"))
    assert _outcome(engine_of(rules[0], rules[3]), facts()) == "review"


def test_factors_satisfy_a_step_up() -> None:
    """As many different accepted factors as are wanted; then what is left is the review."""
    wanted = {"accepted": ["sms", "certificate"], "at_least": 2}
    engine = engine_of(
        rule("amount", "prove", "step_up", above_minor=1, step_up=wanted),
        rule("amount", "see", "review", above_minor=1),
    )
    for factors, outcome in (
        ((), "step_up"),
        (("sms", "sms"), "step_up"),
        (("sms", "password"), "step_up"),
        (("sms", "certificate"), "review"),
    ):
        decision = engine.decide(facts(factors=factors), _EMPTY)
        assert decision.outcome == outcome
        assert decision.reasons == (("prove", "see") if outcome == "step_up" else ("see",))
        assert [hit.rule_id for hit in decision.hits] == ["prove", "see"]
    assert engine.decide(facts(), _EMPTY).step_up == engine.rules.rules[0].step_up


def test_points_add_up_to_a_demand() -> None:
    """The sum of the live scoring rules is what the thresholds see."""
    score = {"review": 30, "step_up": 60, "decline": 90}
    parts = [
        rule("amount", f"part-{n}", "score", points=30, above_minor=n * 100) for n in range(1, 4)
    ]
    engine = engine_of(*parts, score=score)
    seen = []
    for amount in (100, 101, 201, 301):
        decision = engine.decide(facts(amount_minor=amount), _EMPTY)
        seen.append((decision.outcome, decision.score, len(decision.reasons)))
    assert seen == [("approve", 0, 0), ("review", 30, 1), ("step_up", 60, 2), ("decline", 90, 3)]
    # Proven, the sum is still one for a person to see.
    proven = facts(amount_minor=201, factors=("password",))
    assert _outcome(engine, proven) == "review"


def test_a_shadow_score_shows_what_it_would_add() -> None:
    """What a shadow rule would have come to counts its own points on top of the live ones."""
    engine = engine_of(
        rule("amount", "real", "score", points=30, above_minor=1),
        rule("amount", "trial", "score", points=30, above_minor=1, stage="shadow"),
        score={"review": 60},
    )
    decision = engine.decide(facts(), _EMPTY)
    assert (decision.outcome, decision.score, decision.reasons) == ("approve", 30, ())
    assert [(hit.rule_id, hit.effect) for hit in decision.hits] == [
        ("real", "approve"), ("trial", "review"),
    ]  # fmt: skip


def test_an_allow_list_takes_back_what_does_not_decline() -> None:
    """Trusted payees pass reviews and step-ups, and no decline unless it is named."""
    trusted = rule("list", "trusted", "exempt", mode="allow", values=["acct_b"])
    see = rule("amount", "see", "review", above_minor=1)
    no = rule("amount", "no", "decline", above_minor=400)
    engine = engine_of(see, no, trusted)
    decision = engine.decide(facts(amount_minor=300), _EMPTY)
    assert decision.outcome == "approve"
    assert [hit.rule_id for hit in decision.hits] == ["trusted"]
    assert _outcome(engine, facts(amount_minor=300, payee="acct_c")) == "review"
    assert _outcome(engine, facts()) == "decline"
    assert _outcome(engine_of(see, no, {**trusted, "exempts": ["see", "no"]}), facts()) == "approve"
    # Nothing was taken back, so there is nothing to tell.
    assert engine_of(no, trusted).decide(facts(amount_minor=300), _EMPTY).hits == ()


def test_an_allow_list_may_lift_a_limit() -> None:
    """A limit that is taken back is counted on, without a bound."""
    trusted = rule("list", "trusted", "exempt", mode="allow", values=["acct_b"],
                   exempts=["velocity"])  # fmt: skip
    engine = engine_of(trusted, rule("velocity"))
    decision = engine.decide(facts(), _EMPTY)
    (step,) = engine.steps(facts(), _EMPTY, decision.exempted).counts
    assert (step.count, step.count_max) == (1, None)
    (step,) = engine.steps(facts(), _EMPTY, frozenset()).counts
    assert step.count_max == 3


def test_a_plain_payment_costs_one_counter_and_no_query() -> None:
    """The default rules ask nothing of the past for a small payment and count it once."""
    engine = Engine(default_rules())
    one = facts(device_id="d", geo=_SHANGHAI, merchant_category="5411", payee_type="merchant")
    assert engine.wants(one) == ()
    decision = engine.decide(one, _EMPTY)
    assert (decision.outcome, decision.hits) == ("approve", ())
    steps = engine.steps(one, _EMPTY, decision.exempted)
    assert len(steps.counts) == 1
    assert steps.marks == ()


def test_structuring_is_seen_by_the_default_rules() -> None:
    """Three transfers just below the reporting threshold in a week are a shadow hit."""
    engine = Engine(default_rules())
    history = MemoryHistory()
    for day in range(3):
        one = facts(amount_minor=49_000_000, at_ms=MORNING_MS + day * DAY_MS)
        hits = [hit for hit in engine.decide(one, history).hits if hit.rule_id == "structuring"]
        remember(engine, history, one)
        assert [(hit.stage, hit.effect) for hit in hits] == (
            [("shadow", "review")] if day == 2 else []
        )
