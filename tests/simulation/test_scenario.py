"""A library on several nodes of which one dies: every effect of its plans happens once."""

from random import Random
from typing import Any

import anyio
import pytest

from actors.scenario.composer import SEND_AGAIN_S
from kernel.ownership import LEASE_S
from kernel.partition import PARTITIONS, partition_of
from tests.unit.scenario.library import Library
from tests.unit.scenario.scenario_lab import FIRST_MINOR, Lab, play

_NODES = ("n1", "n2", "n3")


async def _share(lab: Lab) -> None:
    """Wait until the nodes own an equal share each."""
    with anyio.fail_after(60):
        while max(lab.world.owners().values()) > -(-PARTITIONS // len(_NODES)):
            await lab.clock.sleep(0.1)


def _owner(lab: Lab, key: str) -> str:
    return str(lab.world.rows("partition")[partition_of("pack.library", key)]["owner"])


def _book_of(lab: Lab, node: str) -> str:
    """Return a book whose page that node keeps."""
    return next(name for name in map(str, range(1000)) if _owner(lab, name) == node)


@pytest.mark.parametrize("dies", ["receiver", "sender"])
def test_a_message_outlives_the_node_it_was_lost_with(dies: str) -> None:
    """Sender or receiver dies the moment the plan stands: the book is told all the same, once."""

    async def story(lab: Lab) -> None:
        await _share(lab)
        await lab.member()
        sender = _owner(lab, "m1")
        receiver = next(name for name in _NODES if name != sender)
        book = _book_of(lab, receiver)

        async def borrow() -> None:
            await lab.call(
                "library.borrow", member_id="m1", book_id=book, minutes=60, deposit_minor=500
            )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(borrow)
            while not lab.rows("hold"):
                await lab.clock.sleep(0.0005)
            lab.world.kill(receiver if dies == "receiver" else sender)
        page = await lab.call("library.get_book", book_id=book)
        if dies == "receiver":
            assert page["events"] == {}
        await lab.clock.sleep(SEND_AGAIN_S + LEASE_S + 5)
        page = await lab.call("library.get_book", book_id=book)
        assert page["events"] == {"lent": 1}
        assert [row["type"] for row in lab.rows("timer")] == ["library.timer.fine"]

    play(story, Library(), nodes=_NODES)


@pytest.mark.parametrize("seed", range(6))
def test_a_hostile_world_neither_makes_nor_loses_money(seed: int) -> None:
    """Lost messages, lost connections and a death: books, pages and holds agree in the end."""

    async def story(lab: Lab) -> None:
        random = Random(seed)  # noqa: S311 - a story that repeats
        pages = [await lab.member(f"m{number}") for number in range(4)]
        lab.world.hostile = True
        async with anyio.create_task_group() as tasks:
            for page in pages:
                tasks.start_soon(_a_year, lab, page["member_id"], random)
            await lab.clock.sleep(2)
            lab.world.kill("n2")
        lab.world.hostile = False
        await lab.clock.sleep(150)
        await _check(lab, pages)

    play(story, Library(), nodes=_NODES, seed=seed)


async def _a_year(lab: Lab, member_id: str, random: Random) -> None:
    """Let a member do this and that; what is refused is refused."""
    for _ in range(12):
        match random.randrange(4):
            case 0:
                await _try(
                    lab, "library.borrow", member_id=member_id, book_id=random.choice("abc"),
                    minutes=random.randint(0, 1), deposit_minor=random.randint(100, 3_000),
                )  # fmt: skip
            case 1:
                loan = random.randint(1, 5)
                await _try(lab, "library.give_back", member_id=member_id, loan=loan)
            case 2:
                await _try(
                    lab, "library.reserve", member_id=member_id, seconds=random.randint(0, 30),
                    deposit_minor=random.randint(1, 2_000),
                )  # fmt: skip
            case _:
                fee = random.randint(8, 4_000)
                await _try(lab, "library.subscribe", member_id=member_id, fee_minor=fee)


_ids = iter(range(10**9))


async def _try(lab: Lab, operation: str, **body: Any) -> None:
    """Ask until there is an answer, a refusal among them."""
    request_id = f"try-{next(_ids)}"
    while True:
        try:
            answer = await lab.caller.ask(operation, request_id=request_id, **body)
        except TimeoutError:
            continue
        if answer["ok"] or not answer["error"]["retryable"]:
            assert answer["ok"] or answer["error"]["code"] in (
                "insufficient_funds", "invalid_state",
            ), answer  # fmt: skip
            return
        await lab.clock.sleep(0.1)


async def _check(lab: Lab, pages: list[dict[str, Any]]) -> None:
    """Compare what the pages say with the accounts, the holds and the books' own pages."""
    assert lab.rows("dead_letter") == []
    lent = returned = fined = 0
    for page in pages:
        member = await lab.call("library.get_member", member_id=page["member_id"])
        # All loans were for a minute at most, and that is over.
        assert member["loans"] == {}
        posted, held = await lab.money(page["account_id"])
        assert held == 0
        assert posted == FIRST_MINOR - member["paid_minor"] - 100 * member["fines"]
        till, _ = await lab.money(page["till"])
        authors, _ = await lab.money(page["authors"])
        assert till + authors == FIRST_MINOR - posted
        fined += member["fines"]
    for row in lab.rows("document", collection="book"):
        book = await lab.call("library.get_book", book_id=row["key"].partition("/")[2])
        assert len(book["told"]) == len(set(book["told"]))
        lent += book["events"].get("lent", 0)
        returned += book["events"].get("returned", 0)
        assert book["events"].get("fined", 0) <= book["events"].get("lent", 0)
        fined -= book["events"].get("fined", 0)
    loans = [row for row in lab.rows("hold") if row["payee"]]
    assert fined == 0
    assert lent == len(loans)
    assert returned == len([row for row in loans if row["status"] == "voided"])
    assert lab.rows("timer") == []
