"""Chaos steps as people write them."""

import pytest

from loadtest.harness.chaos import ChaosStep, parse_step, parse_steps
from loadtest.harness.problems import PlanUnusable


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("10s kill node", ChaosStep(at_s=10, verb="kill", object="node", for_s=1.0)),
        ("1.5m pause node for 500ms", ChaosStep(at_s=90, verb="pause", object="node", for_s=0.5)),
        ("0s restart nats", ChaosStep(at_s=0, verb="restart", object="nats")),
        (
            "3s slow postgres 20ms for 4s",
            ChaosStep(at_s=3, verb="slow", object="postgres", for_s=4.0, delay_s=0.02),
        ),
        ("7s cut nats for 2s", ChaosStep(at_s=7, verb="cut", object="nats", for_s=2.0)),
        ("9s swap wholesale_market", ChaosStep(at_s=9, verb="swap", object="wholesale_market")),
    ],
)
def test_a_step_is_read(text: str, step: ChaosStep) -> None:
    """Time, action, delay and length are as written, or as usual where they are left out."""
    assert parse_step(text) == step


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kill node", "is not a step"),
        ("10 kill node", "'10' is not a time"),
        ("10s kill everything", "there is no kill everything. There are: kill nats or node or"),
        ("10s slow nats", "wants a delay"),
        ("10s kill node 20ms", "wants a delay"),
        ("10s restart nats for 2s", "happens at once"),
        ("10s swap parking for 2s", "at once"),
        ("10s pause node for 1h", "'1h' is not a time"),
        ("10s pause node for 20m", "at most 300 s"),
        ("10s slow nats 11s", "10 s of delay"),
    ],
)
def test_what_cannot_be_read_is_explained(text: str, said: str) -> None:
    """The message quotes the step and says what was expected."""
    with pytest.raises(PlanUnusable, match=said) as caught:
        parse_step(text)
    assert repr(text) in str(caught.value)


def test_steps_go_in_order_of_time() -> None:
    """The order on the command line does not matter."""
    steps = parse_steps(["20s restart nats", "5s kill node for 3s"])
    assert [step.name for step in steps] == ["kill node", "restart nats"]


def test_steps_may_not_overlap() -> None:
    """A step that begins while another lasts is refused: no figure could be told apart."""
    with pytest.raises(PlanUnusable, match="restart nats at 6 s begins before kill node is over"):
        parse_steps(["5s kill node for 3s", "6s restart nats"])


def test_a_slow_link_is_named_by_its_delay() -> None:
    """Two slow links of different delays have phases of different names."""
    assert parse_step("1s slow nats 20ms").name == "slow nats 20ms"
