"""The public edge: whatever a backend sends gets one answer, and the answer is in the error table.

A whole node runs in memory, on virtual time: what has no answer has hung, and no second of ours is
spent on waiting for it. Requests go to every operation, most of them nearly right and about things
that exist, and so reach the actors and the journal behind the edge.
"""

import re
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import orjson

from actors.customers.keyring import ensure_keyring
from actors.customers.services import DATA_KEYS_SETTING
from kernel.memory_bus import MemoryBus
from kernel.randomness import SeededRandomness
from kernel.streams import Outgoing, Refused
from kernel.virtual_time import VirtualClock
from schemas.catalogue import BANK_OPERATIONS
from schemas.errors import ERRORS, NotReady
from schemas.subjects import INTAKE_SUBJECTS, OPERATOR_APP, inbox_prefix
from tests.conformance.samples import REQUESTS
from tests.fuzz.letters import Letter, parse_letter
from tests.fuzz.mutation import Mutator, dump
from tests.fuzz.one_node import OneNode
from tests.fuzz.targets import Finding, Tally, read_corpus
from zhihui.node import RunningNode
from zhihui.simulation.world import World

__all__ = ("EdgeTarget", "answer_problem")

# Sent at a time: a frame holds several, and a batch is committed at once.
_BATCH = 64
_INTAKE = INTAKE_SUBJECTS.removesuffix(".>")
# Virtual seconds. A request may state a deadline a minute away; after that nobody may wait.
_ANSWER_S_MAX = 62.0
_LOOK_EVERY_S = 0.002
_POOL_MAX = 40
_APPS = ("shop", "shop", "shop", OPERATOR_APP, "other")
_OPERATOR_ONLY = frozenset(one.name for one in BANK_OPERATIONS if one.operator)
_NAMES = tuple(REQUESTS)
_SAMPLES = {name: orjson.dumps(sample) for name, sample in REQUESTS.items()}
# Where the id of an account is wanted under another name.
_ACCOUNTS = (
    "payer", "payee", "cash_account", "units_account", "remainder", "settlement_account", "account",
    "from_account", "to_account", "wallet", "merchant",
)  # fmt: skip
_DEADLINES = (
    b"0",
    b"-1",
    b"1",
    b"9" * 15,
    b"9" * 16,
    b"abc",
    b"",
    b"\xff",
    b"1e9",
    b"1767225660000",
)
_NOT_A_TOKEN = re.compile(r"[\x00-\x20\x7f-\uffff*>]")


def answer_problem(data: bytes) -> str:
    """Return what is wrong with an answer, or '' for one that the contract allows."""
    try:
        answer = orjson.loads(data)
    except orjson.JSONDecodeError as nonsense:
        return f"the answer is not JSON: {nonsense}"
    if not isinstance(answer, dict):
        return "the answer is not an object"
    if answer.get("ok") is True and set(answer) == {"ok", "result"}:
        return ""
    error = answer.get("error")
    if (
        answer.get("ok") is not False
        or set(answer) != {"ok", "error"}
        or not isinstance(error, dict)
    ):
        return f"the answer is neither a result nor an error: {data[:200]!r}"
    kind = ERRORS.get(error.get("code", ""))
    if kind is None:
        return f"the code {error.get('code')!r} is not in the table"
    if error["code"] == "internal":
        return f"a fault of ours: {error.get('message')}"
    if error.get("retryable") is not kind.retryable or not error.get("message"):
        return f"not as the table says: {data[:200]!r}"
    return ""


class EdgeTarget(OneNode):
    """See the module."""

    name = "edge"

    def __init__(self) -> None:
        super().__init__()
        self._pools: dict[str, list[Any]] = {}
        self._keys = Path()

    # Inputs.

    def inputs(self, random: Random, count: int) -> Iterator[bytes]:
        """Return requests; those that come late are about what the early ones made."""
        mutator = Mutator(random, self._pools)
        kept = [data for _, data in read_corpus(self.name)]
        for number in range(count):
            if kept and random.random() < 0.05:
                yield mutator.flipped(random.choice(kept), kept)
                continue
            yield self._letter(mutator, number).encode()

    def _letter(self, mutator: Mutator, number: int) -> Letter:
        random = mutator.random
        name = random.choice(_NAMES)
        value = mutator.filled(orjson.loads(_SAMPLES[name]))
        if "request_id" in value and random.random() < 0.9:
            value["request_id"] = f"r-{number}"
        body = dump(mutator.tree(value, random.choice((0, 0, 1, 1, 2, 4))))
        if random.random() < 0.15:
            body = mutator.flipped(body)
        app = OPERATOR_APP if name in _OPERATOR_ONLY else random.choice(_APPS)
        service, verb = name.split(".")
        if random.random() < 0.02:
            service, verb = verb, service
        prefix = _INTAKE if random.random() < 0.05 else "zh.v1"
        lines: tuple[bytes, ...] = ()
        if random.random() < 0.08:
            lines = (b"Zh-Deadline-Ms: " + random.choice(_DEADLINES),)
        return Letter(f"{prefix}.{app}.{service}.{verb}", lines, body)

    # Trying them.

    def try_all(self, inputs: Iterator[bytes]) -> Tally:
        """Send all to one node, and audit its books at the end."""
        with tempfile.TemporaryDirectory() as folder:
            self._keys = Path(folder) / "keys.json"
            return self.tally(inputs, {DATA_KEYS_SETTING: str(self._keys)})

    async def prepare(self, clock: VirtualClock, randomness: SeededRandomness) -> None:
        """Make the keys that customers' data is sealed under."""
        ensure_keyring(self._keys, randomness, clock.now())

    async def play(self, world: World, node: RunningNode, inputs: Iterator[bytes]) -> int:
        """Send all, then audit the books."""
        count = await self._send_all(world, node, inputs)
        self._check_books(world)
        return count

    async def _send_all(self, world: World, node: RunningNode, inputs: Iterator[bytes]) -> int:
        bus = MemoryBus(world.broker)
        answers: dict[str, bytes] = {}

        def on_answer(subject: str, _reply: str, data: bytes, _headers: bytes) -> None:
            if subject in answers:
                self._findings.append(Finding(self.name, data, "answered twice"))
            answers[subject] = data

        await bus.subscribe("*._fuzz_.*", on_answer)
        count = 0
        while batch := list(islice(inputs, _BATCH)):
            answers.clear()
            world.trace.clear()
            wanted: dict[str, bytes] = {}
            for number, data in enumerate(batch):
                letter = _sendable(parse_letter(data))
                if letter.first.startswith(f"{_INTAKE}."):
                    await self._keep(world, letter)
                    continue
                reply = f"{inbox_prefix(letter.first.split('.')[2])}._fuzz_.{count + number}"
                wanted[reply] = data
                bus.publish(letter.first, letter.body, reply=reply, headers=letter.nats_headers())
            count += len(batch)
            await self._collect(world, wanted, answers)
            self._check_node(node, batch)
        return count

    async def _keep(self, world: World, letter: Letter) -> None:
        try:
            await world.streams.publish(Outgoing(letter.first, letter.body))
        except (NotReady, Refused):
            self._refused += 1

    async def _collect(
        self, world: World, wanted: dict[str, bytes], answers: dict[str, bytes]
    ) -> None:
        give_up_s = world.clock.monotonic_s() + _ANSWER_S_MAX
        while len(answers) < len(wanted) and world.clock.monotonic_s() < give_up_s:
            await world.clock.sleep(_LOOK_EVERY_S)
        for reply, data in wanted.items():
            answer = answers.get(reply)
            problem = "no answer: it hangs" if answer is None else answer_problem(answer)
            if problem:
                self._findings.append(Finding(self.name, data, problem))
            elif answer is not None:
                self._learn(answer)

    def _learn(self, answer: bytes) -> None:
        """Remember what exists now, so that later requests are about it."""
        if not answer.startswith(b'{"ok":true'):
            self._refused += 1
            return
        result = orjson.loads(answer)["result"]
        if not isinstance(result, dict):
            return
        for name, value in result.items():
            if isinstance(value, str) and value:
                names = (name, *_ACCOUNTS) if name == "account_id" else (name,)
                for one in names:
                    pool = self._pools.setdefault(one, [])
                    pool.append(value)
                    if len(pool) > _POOL_MAX:
                        del pool[0]

    def _check_node(self, node: RunningNode, batch: list[bytes]) -> None:
        refuses = () if node.edge.accepting else ("the edge takes no more requests",)
        self.check_batch(batch, refuses)

    def _check_books(self, world: World) -> None:
        """Every balance is the sum of its entries, and all money is somebody's."""
        sums: dict[str, int] = {}
        for row in world.rows("entry"):
            sums[row["account_id"]] = sums.get(row["account_id"], 0) + row["amount_minor"]
        for row in world.rows("balance"):
            if sums.get(row["account_id"], 0) != row["posted_minor"]:
                self._findings.append(
                    Finding(self.name, b"", f"the balance of {row['account_id']} is wrong")
                )


def _sendable(letter: Letter) -> Letter:
    """Return the letter under a subject that a broker would deliver to the edge."""
    tokens = [_NOT_A_TOKEN.sub("_", token) or "_" for token in letter.first.split(".")]
    if tokens[:3] == ["zh", "in", "v1"] and len(tokens) > 3:
        return Letter(".".join(tokens), letter.lines, letter.body)
    if tokens[:2] != ["zh", "v1"] or len(tokens) < 3:
        tokens = ["zh", "v1", *tokens]
    return Letter(".".join(tokens), letter.lines, letter.body)
