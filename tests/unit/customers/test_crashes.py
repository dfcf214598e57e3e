"""Openings while nodes die and connections are lost: every case ends once, as it should."""

from pathlib import Path

import anyio
import pytest

from actors.customers.sample_people import sample_person
from tests.unit.customers.customer_lab import Bank, play

_SCRIPTS = ("pass", "mismatch", "spoof", "borderline", "down-2", "processing-2", "pass", "pass")
_ENDS = {
    "pass": "opened", "down-2": "opened", "processing-2": "opened", "mismatch": "verifying",
    "spoof": "rejected", "borderline": "pending_review",
}  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_cases_survive_the_death_of_nodes(tmp_path: Path, seed: int) -> None:
    """Under lost messages and commits, with nodes killed, each person gets what the script says."""
    cases: dict[str, tuple[int, str]] = {}

    async def one(bank: Bank, number: int, script: str) -> None:
        person = sample_person(number)
        customer_id = await bank.register(person)
        case_id = await bank.begin(customer_id, person.cards[0].number)
        cases[case_id] = (number, script)
        await bank.prove(case_id, script)
        if script == "mismatch":
            with anyio.fail_after(600):
                while not (await bank.case(case_id))["reasons"]:
                    await bank.world.clock.sleep(0.5)
        await bank.until(case_id, _ENDS[script], within_s=600)

    async def story(bank: Bank) -> None:
        await bank.world.start("n2")
        bank.world.hostile = True
        async with anyio.create_task_group() as tasks:
            for number, script in enumerate(_SCRIPTS):
                tasks.start_soon(one, bank, number, script)
            for round_ in range(4):
                await bank.world.clock.sleep(1.5 + seed / 3)
                victim = f"n{1 + (round_ + seed) % 2}"
                bank.world.kill(victim)
                await bank.world.clock.sleep(1)
                # A process that cannot start is started again by its supervisor, which is not here.
                bank.world.hostile = False
                await bank.world.start(victim)
                bank.world.hostile = True
        bank.world.hostile = False
        accounts = [row for row in bank.world.rows("account") if row["class"]]
        assert len(accounts) == sum(_ENDS[script] == "opened" for script in _SCRIPTS)
        assert len({row["customer_id"] for row in accounts}) == len(accounts)
        for case_id, (_, script) in cases.items():
            events = bank.events(case_id)
            ends = events.count(f"case.{_ENDS[script]}")
            assert ends == (2 if script == "mismatch" else 1), events
            assert (await bank.case(case_id))["attempts_left"] == 2
        counted = {
            row["tally_id"]: row["count"]
            for row in bank.world.rows("tally")
            if row["tally_id"].startswith("accounts:")
        }
        assert sum(counted.values()) == len(accounts)

    play(story, tmp_path, seed=seed)
