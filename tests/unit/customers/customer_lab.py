"""A bank in virtual time with customers in it: what the tests of cases share."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import msgspec

from actors.customers.keyring import ensure_keyring
from actors.customers.reference_source import (
    Reference,
    ReferencePerson,
    read_reference,
)
from actors.customers.services import DATA_KEYS_SETTING, IDENTITY_REFERENCE_SETTING
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from tests.simulation.world import Caller, World

__all__ = ("Bank", "evidence", "play", "refused", "registration")

_STORY_S_MAX = 3_600


def registration(person: ReferencePerson, request_id: str = "", **changes: Any) -> dict[str, Any]:
    """Return the body of a registration of the person."""
    return {
        "request_id": request_id or f"reg-{person.id_number[-8:]}",
        "name": person.name,
        "id_number": person.id_number,
        "phone": person.phone,
        **changes,
    }


def evidence(reference: str) -> list[dict[str, str]]:
    """Return recordings of which the sandbox's provider reads the reference."""
    return [
        {"kind": "face_video", "reference": f"{reference}/video", "sha256": "a" * 64},
        {"kind": "voice", "reference": f"{reference}/voice", "sha256": "b" * 64},
    ]


def refused(answer: Any) -> str:
    """Return the code of an answer that is an error."""
    assert not answer["ok"], answer
    return str(answer["error"]["code"])


class Bank:
    """One node, an app, another app, and the back office."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.app = Caller(world, "campus")
        self.other = Caller(world, "market")
        self.staff = Caller(world, "ops")
        self._next = 0

    async def open(self) -> None:
        """Let everybody hear answers."""
        for caller in (self.app, self.other, self.staff):
            await caller.open()
        await self.world.start("n1")

    def number(self, prefix: str) -> str:
        """Return a request id that was not used before."""
        self._next += 1
        return f"{prefix}-{self._next}"

    async def register(self, person: ReferencePerson, caller: Caller | None = None) -> str:
        """Register a person and return the customer's id."""
        body = registration(person, self.number("reg"))
        customer = await (caller or self.app).call("customer.register", **body)
        return str(customer["customer_id"])

    async def begin(
        self, customer_id: str, card: str, account_class: str = "II", caller: Caller | None = None
    ) -> str:
        """Ask for an account and return the id of the case."""
        case = await (caller or self.app).call(
            "account.open_personal",
            request_id=self.number("open"),
            customer_id=customer_id,
            account_class=account_class,
            card_number=card,
        )
        return str(case["case_id"])

    async def case(self, case_id: str, caller: Caller | None = None) -> dict[str, Any]:
        """Return a case as it stands."""
        found: dict[str, Any] = await (caller or self.app).call("case.get", case_id=case_id)
        return found

    async def until(
        self, case_id: str, *statuses: str, within_s: float = 60.0, caller: Caller | None = None
    ) -> dict[str, Any]:
        """Wait until the case has one of the statuses, and return it."""
        with anyio.fail_after(within_s):
            while True:
                found = await self.case(case_id, caller)
                if found["status"] in statuses:
                    return found
                await self.world.clock.sleep(0.25)

    async def prove(self, case_id: str, script: str, caller: Caller | None = None) -> None:
        """Wait for the case to take recordings, and hand in what the script says."""
        await self.until(case_id, "verifying", caller=caller)
        await (caller or self.app).call(
            "case.submit_evidence",
            request_id=self.number("proof"),
            case_id=case_id,
            evidence=evidence(f"sandbox/{script}/{self._next}"),
        )

    async def opened(
        self, person: ReferencePerson, account_class: str = "II", caller: Caller | None = None
    ) -> dict[str, Any]:
        """Take a person from nothing to a decided case."""
        customer_id = await self.register(person, caller)
        case_id = await self.begin(customer_id, person.cards[0].number, account_class, caller)
        await self.prove(case_id, "pass", caller)
        return await self.until(case_id, "opened", "rejected", caller=caller)

    def events(self, subject: str) -> list[str]:
        """Return the types of the events about a subject, in order."""
        rows = [row for row in self.world.rows("event") if row["subject"] == subject]
        return [row["type"] for row in sorted(rows, key=lambda row: int(row["seq"]))]


def play(
    story: Callable[[Bank], Awaitable[Any]],
    folder: Path,
    *,
    seed: int = 1,
    people: tuple[ReferencePerson, ...] = (),
) -> Any:
    """Play a story in a bank of its own; ``people`` are on record beside the bundled ones."""
    keys, reference = folder / "keys.json", folder / "reference.json"
    bundled = read_reference()
    known = Reference(people=(*bundled.people, *people), companies=bundled.companies)
    reference.write_bytes(msgspec.json.encode(known))
    settings = {DATA_KEYS_SETTING: str(keys), IDENTITY_REFERENCE_SETTING: str(reference)}

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        ensure_keyring(keys, SeededRandomness(7), clock.now())
        async with anyio.create_task_group() as tasks:
            bank = Bank(World(clock, randomness, tasks, settings))
            await bank.open()
            with anyio.fail_after(_STORY_S_MAX):
                result = await story(bank)
            tasks.cancel_scope.cancel()
        return result

    return run_virtual(main, seed=seed)
