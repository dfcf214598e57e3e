"""What the database has of the load, against what was answered: payments, events, documents."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import msgspec

from loadtest.hotload.traffic import Lane, Outcome

__all__ = ("Books", "Offences", "judge_books", "read_books")

_EXAMPLES = 5

_CHANGES = "SELECT request_id, outcome, answer FROM zhihui.change WHERE app = $1"
_PAYMENTS = """
SELECT request_id, amount_minor, reference FROM zhihui.payment WHERE app = $1
"""
_WITNESSES = """
SELECT data FROM zhihui.event WHERE app = $1 AND type LIKE '%.witnessed'
"""
_BALANCES = "SELECT account_id, posted_minor FROM zhihui.balance WHERE account_id = ANY($1)"
_DOCUMENTS = "SELECT pack, collection, key, body FROM zhihui.document WHERE key LIKE $1 || '/%'"
_DEAD_LETTERS = "SELECT type, reason FROM zhihui.dead_letter"


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """What the database has.

    ``changes`` are the stored answers, ``payments`` amount and version of each, ``witnesses`` the
    versions that say to have made the change: all by request. ``documents`` tells who wrote one
    last, by pack, collection and key.
    """

    changes: dict[str, tuple[str, str]]
    payments: dict[str, list[tuple[int, str]]]
    witnesses: dict[str, list[str]]
    balances: dict[str, int]
    documents: dict[tuple[str, str, str], str]
    dead_letters: tuple[str, ...]


class Offences(msgspec.Struct, kw_only=True):
    """How many requests are wrong in which way, with some examples each."""

    counts: Counter[str] = msgspec.field(default_factory=Counter)
    examples: dict[str, list[str]] = msgspec.field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Note one."""
        self.counts[kind] += 1
        found = self.examples.setdefault(kind, [])
        if len(found) < _EXAMPLES:
            found.append(example)


async def read_books(dsn: str, app: str, accounts: Iterable[str]) -> Books:
    """Read all that one app has left behind."""
    connection = await asyncpg.connect(dsn)
    try:
        payments: dict[str, list[tuple[int, str]]] = {}
        for row in await connection.fetch(_PAYMENTS, app):
            served_by = row["reference"].rpartition(" by ")[2]
            payments.setdefault(row["request_id"], []).append((row["amount_minor"], served_by))
        witnesses: dict[str, list[str]] = {}
        for row in await connection.fetch(_WITNESSES, app):
            data = json.loads(row["data"])
            witnesses.setdefault(data["request_id"], []).append(data["served_by"])
        return Books(
            changes={
                row["request_id"]: (row["outcome"], row["answer"])
                for row in await connection.fetch(_CHANGES, app)
            },
            payments=payments,
            witnesses=witnesses,
            balances={
                row["account_id"]: row["posted_minor"]
                for row in await connection.fetch(_BALANCES, list(accounts))
            },
            documents={
                (row["pack"], row["collection"], row["key"].partition("/")[2]): _written_by(
                    json.loads(row["body"])
                )
                for row in await connection.fetch(_DOCUMENTS, app)
            },
            dead_letters=tuple(
                f"{row['type']}: {row['reason']}" for row in await connection.fetch(_DEAD_LETTERS)
            ),
        )
    finally:
        await connection.close()


def _written_by(document: dict[str, Any]) -> str:
    names = [value for name, value in document.items() if name.startswith("written_by_")]
    return str(names[0]) if len(names) == 1 else f"{len(names)} names"


def judge_books(
    books: Books, outcomes: Iterable[Outcome], lanes: Iterable[Lane], opening: Mapping[str, int]
) -> Offences:
    """Return all in which the database differs from what was answered."""
    offences = Offences()
    expected = Counter(opening)
    writers: dict[tuple[str, str], str] = {}
    known: set[str] = set()
    for one in outcomes:
        request = one.request
        known.add(request.request_id)
        if not one.answer:
            offences.add("lost", f"{request.request_id} {request.pack}.{request.verb}: {one.error}")
            continue
        expected.update(request.moves)
        if request.writes:
            writers[request.pack, request.key] = one.served_by
        _judge_one(books, one, offences)
    for request_id in books.payments.keys() - known:
        # What setting up has paid, which is nothing.
        offences.add("doubled", f"{request_id} paid, and was never sent")
    for account, balance in expected.items():
        found = books.balances.get(account, 0)
        if found != balance:
            offences.add("balances", f"{account} has {found}, and by the answers {balance}")
    for lane in lanes:
        wanted = writers.get((lane.pack, lane.key))
        found_by = books.documents.get((lane.pack, lane.collection, lane.key), "")
        if wanted is not None and found_by != wanted:
            offences.add(
                "divided", f"{lane.pack} {lane.key}: answered by {wanted}, written by {found_by}"
            )
    for letter in books.dead_letters:
        offences.add("dead letters", letter)
    return offences


def _judge_one(books: Books, one: Outcome, offences: Offences) -> None:
    request = one.request
    name = f"{request.request_id} {request.pack}.{request.verb}"
    wrong = request.wrong(json.loads(one.answer))
    if wrong:
        offences.add("answers", f"{name}: {wrong}")
    outcome, answer = books.changes.get(request.request_id, ("missing", ""))
    if outcome != "committed":
        offences.add("lost", f"{name} was answered, and the database has it as {outcome}")
    elif answer.encode() != one.answer:
        offences.add("answers", f"{name} has another answer in the database")
    payments = books.payments.get(request.request_id, [])
    amounts = [amount for amount, _ in payments]
    if len(payments) > 1:
        offences.add("doubled", f"{name} has the payments {amounts}")
    elif amounts != ([request.pays_minor] if request.pays_minor else []):
        offences.add("lost", f"{name} has the payments {amounts}, not {request.pays_minor}")
    witnesses = books.witnesses.get(request.request_id, [])
    if len(witnesses) > 1:
        offences.add("doubled", f"{name} was done by {witnesses}")
    makers = {one.served_by, *witnesses, *(served_by for _, served_by in payments)}
    if len(makers) > 1 or not witnesses:
        offences.add("divided", f"{name} was answered by {one.served_by}, done by {makers}")
