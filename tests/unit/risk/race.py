"""Two hundred payments at a limit, through several nodes at once."""

import random

import anyio

from tests.unit.risk.facts import facts
from tests.unit.risk.risk_lab import RiskLab, check_of

__all__ = ("race",)

_RACERS = 200
_NODES = 3


async def race(lab: RiskLab, *, allowed: int, seed: int) -> None:
    """Let them race and check that exactly ``allowed`` stand, in the books as in the answers.

    Each node has a risk actor of its own, none of which has heard of the others' payments; their
    batches reach the journal in any order, some of them together.
    """
    await lab.open("acct_a", "acct_b")
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    nodes = [lab.new_actor() for _ in range(_NODES)]
    checks = [check_of(facts(subject=f"pay_{n}"), f"r{n}") for n in range(_RACERS)]
    handed_on = []
    while checks:
        batch = [checks.pop() for _ in range(min(len(checks), rng.randint(1, 20)))]
        handed_on += await lab.decide(batch, rng.choice(nodes))
    rng.shuffle(handed_on)
    answers: list[str] = []
    while handed_on:
        batch_size = rng.randint(1, 40)
        batch_now, handed_on = handed_on[:batch_size], handed_on[batch_size:]
        answers += await lab.commit(batch_now)
        await anyio.lowlevel.checkpoint()
    assert answers.count("ok") == allowed
    assert answers.count("limit_exceeded") == _RACERS - allowed
    assert len(await lab.rows("payment", "payment_id")) == allowed
    ((count, amount),) = await lab.rows("tally", "count", "amount_minor")
    assert (count, amount) == (allowed, allowed * 500)
    statuses = [(row[0], row[1]) for row in await lab.rows("change", "outcome", "request_id")]
    assert sum(one[0] == "limit_exceeded" for one in statuses) == _RACERS - allowed
