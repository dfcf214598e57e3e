"""A story on the simulated platform: who is there, what is asked, and what came of it."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from actors.plugins.archives import parts_of
from kernel.plugins.archive import Archive
from kernel.plugins.generation import GenerationStatistics
from schemas.subjects import OPERATOR_APP
from zhihui.author.history import LOG_MARK
from zhihui.author.platform import NODE, PackBroken
from zhihui.author.story import Call, Story
from zhihui.simulation.books import check_books
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

__all__ = ("Outcome", "Stage")

# What a story takes between two calls that do not say it: messages arrive meanwhile.
_GAP = timedelta(seconds=1)
_LETTER_S = 2.0
_MOMENT_S = 0.05
_ARRIVES_S = 20
# What fails is tried again within ten seconds.
_OVERDUE = timedelta(seconds=15)
_ID = re.compile(r"\b[a-z]+_[0-9a-f]{27}\b")
# What the host made of a request id, for what comes by itself.
_OWN_ID = re.compile(r"~[a-z]+\.[0-9a-f]{30}")
_TIME = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")
# A plan is followed at once when a node is told of it.
_FOLLOW_S = 0.05
_FOLLOW_TRIES = 200


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a story, with accounts by their names, and other ids and times left out.

    ``moments`` are the seconds of the story at which the calls were decided, and its end.
    """

    moments: tuple[float, ...]
    answers: tuple[Any, ...]
    documents: dict[str, Any]
    balances: dict[str, str]
    events: dict[str, int]
    dead_letters: tuple[str, ...]
    overdue: tuple[str, ...]
    books: tuple[str, ...]

    def troubles(self) -> list[str]:
        """Return what must never be."""
        return [
            *(f"a message became a dead letter: {one}" for one in self.dead_letters[:3]),
            *(f"a timer or a message of the pack fails again and again: {one}"
              for one in self.overdue[:3]),
            *(f"the books are not whole: {one}" for one in self.books[:3]),
        ]  # fmt: skip


class Stage:
    """The running world of one telling of a story. ``tale`` makes its request ids its own."""

    def __init__(self, world: World, story: Story, archive: Archive, tale: str) -> None:
        self.world = world
        self.story = story
        self.plugin = archive.manifest.name
        self.tale = tale
        self.began = world.wall.now()
        self._callers: dict[str, Caller] = {}
        self._ids: dict[tuple[str, str], str] = {}
        self._names: dict[str, str] = {}
        self._operated = 0
        # The error that was logged last; it tells why something is tried again.
        self.last_error = ""

    def heard(self, line: str) -> None:
        """Hear a line of the log; those that name an error are remembered."""
        if (error := line.strip()) and not error.startswith(LOG_MARK):
            self.last_error = error

    # Who is there.

    async def caller(self, app: str) -> Caller:
        """Return a backend."""
        if app not in self._callers:
            caller = self._callers[app] = Caller(self.world, app)
            await caller.open()
        return self._callers[app]

    async def open_accounts(self, story: Story) -> None:
        """Open the accounts of a story for each of its backends."""
        for app in story.apps():
            caller = await self.caller(app)
            for name, minor in story.accounts.items():
                await self._open(caller, name, minor)

    async def _open(self, caller: Caller, name: str, minor: int) -> None:
        opened = await caller.call(
            "account.open", request_id=f"{self.tale}-open-{name}", holder=name, type="merchant"
        )
        account_id = self._ids[caller.app, name] = opened["account_id"]
        self._names[account_id] = f"@{name}"
        if minor:
            await caller.call(
                "account.deposit", request_id=f"{self.tale}-fund-{name}", account_id=account_id,
                amount_minor=minor, source="external:cash",
            )  # fmt: skip

    # What is asked.

    def request_id(self, number: int) -> str:
        """Return the request id of a call."""
        return f"{self.tale}-{number + 1}"

    def body(self, number: int, call: Call) -> dict[str, Any]:
        """Return the body of a call, with ids for the names in it."""
        body = {field: self._named(call.app, value) for field, value in call.body.items()}
        return {"request_id": self.request_id(number), **body} if call.mutates else body

    def _named(self, app: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {field: self._named(app, one) for field, one in value.items()}
        if isinstance(value, list):
            return [self._named(app, one) for one in value]
        if isinstance(value, str) and value.startswith("@"):
            return self._ids.get((app, value[1:]), value)
        return value

    def bytes_of(self, number: int, call: Call) -> bytes:
        """Return the body of a call as it is sent."""
        return msgspec.json.encode(self.body(number, call))

    async def settle(self, number: int, call: Call) -> Any:
        """Ask until there is a definite answer, and return it."""
        caller = await self.caller(call.app)
        return await caller.settle(call.operation, self.bytes_of(number, call))

    # Time.

    def elapsed_s(self) -> float:
        """Return the seconds since the story began."""
        return (self.world.wall.now() - self.began).total_seconds()

    async def wait_for(self, moment_s: float) -> None:
        """Wait for a second of the story."""
        left = self.began + timedelta(seconds=moment_s) - self.world.wall.now()
        if left > timedelta():
            await self.world.let_pass(left)

    def next_moment(self, call: Call) -> float:
        """Return when a call is sent that follows on what was just answered."""
        return self.elapsed_s() + max(_GAP.total_seconds(), call.after_s)

    def decided_at(self, number: int, call: Call) -> float:
        """Return the second of the story in which a call was decided, now for a read."""
        row = self.world.database.rows("change").get((call.app, self.request_id(number)))
        at: datetime = self.world.wall.now() if row is None else row["at"]
        return (at - self.began).total_seconds()

    async def arrive(self) -> None:
        """Wait until what identities of the pack told each other has arrived.

        It takes milliseconds, or seconds when it was lost on the way and comes by its timer.
        """
        for _ in range(_ARRIVES_S):
            await self.world.clock.sleep(_MOMENT_S)
            if not any(
                row["kind"] == f"pack.{self.plugin}" and ".send." in row["type"]
                for row in self.world.rows("timer")
            ):
                return
            await self.world.clock.sleep(1 - _MOMENT_S)

    # The versions of the pack.

    async def operate(self, verb: str, **fields: Any) -> Any:
        """Do what an operator does; raise :class:`PackBroken` when it is refused."""
        self._operated += 1
        body = {"request_id": f"{self.tale}-op-{self._operated}", **fields}
        caller = await self.caller(OPERATOR_APP)
        answer = await caller.settle(f"plugin.{verb}", msgspec.json.encode(body))
        if not answer["ok"]:
            raise PackBroken(f"`plugin {verb}` was refused: {answer['error']['message']}")
        return answer["result"]

    async def load(self, archive: Archive) -> int:
        """Bring another version and return its generation once it runs."""
        parts = parts_of(archive.data)
        for index, data in enumerate(parts):
            await self.operate(
                "upload", sha256=archive.sha256, index=index, total=len(parts), data=data
            )
        loaded = await self.operate("load", name=self.plugin, sha256=archive.sha256)
        number = int(loaded["generation"])
        await self.follow(f"load {archive.manifest.version}")
        return number

    async def promote(self, number: int) -> None:
        """Let a generation serve."""
        await self.operate("promote", name=self.plugin, generation=number)
        await self.follow(f"promote generation {number}")

    async def follow(self, what: str) -> None:
        """Wait until the node is as the plan says; raise :class:`PackBroken` when it cannot be."""
        convergence = self.world.node(NODE).plugins.convergence
        for _ in range(_FOLLOW_TRIES):
            convergence.wake()
            await self.world.clock.sleep(_FOLLOW_S)
            statistics = convergence.statistics()
            if statistics.troubles:
                raise PackBroken(f"to {what} failed: {statistics.troubles[0].error}")
            if statistics.converged:
                return
        raise PackBroken(f"to {what} took more than {_FOLLOW_S * _FOLLOW_TRIES:g} seconds")

    def generation(self, number: int) -> GenerationStatistics | None:
        """Return a generation as it stands on the node, or None."""
        registry = self.world.node(NODE).plugins.statistics().registry
        for plugin in registry.plugins:
            for one in plugin.generations:
                if plugin.plugin == self.plugin and one.generation == number:
                    return one
        return None

    def serving(self) -> int:
        """Return the number of the generation that serves."""
        registry = self.world.node(NODE).plugins.statistics().registry
        return next(one.promoted for one in registry.plugins if one.plugin == self.plugin)

    async def why_failed(self) -> str:
        """Return the error with which the last message became a dead letter."""
        # They are written together, a moment later.
        await self.world.clock.sleep(_LETTER_S)
        letters = sorted(self.world.rows("dead_letter"), key=lambda row: row["at"])
        return letters[-1]["reason"].strip().splitlines()[-1] if letters else "nobody knows why"

    # What came of it.

    def outcome(self, moments: list[float], answers: list[Any]) -> Outcome:
        """Return what came of the story."""
        apps = self.story.apps()
        prefixes = tuple(f"{app}/" for app in apps)
        return Outcome(
            moments=tuple(moments),
            answers=tuple(map(self.plain, answers)),
            documents={
                f"{row['collection']} {row['key']}": self.plain(msgspec.json.decode(row["body"]))
                for row in self.world.rows("document")
                if row["pack"] == self.plugin and row["key"].startswith(prefixes)
            },
            balances={
                f"{app} @{name}": _balance(self.world.database.rows("balance"), account_id)
                for (app, name), account_id in self._ids.items()
                if app in apps
            },
            events=dict(
                Counter(
                    f"{row['type']} {self._plain_text(row['subject'])} "
                    f"{msgspec.json.encode(self.plain(msgspec.json.decode(row['data']))).decode()}"
                    for row in self.world.rows("event")
                    if row["app"] in apps
                )
            ),
            dead_letters=tuple(
                f"{row['type']}: {row['reason'].strip().splitlines()[-1]}"
                for row in self.world.rows("dead_letter")
            ),
            overdue=tuple(self._overdue()),
            books=tuple(check_books(self.world)),
        )

    def _overdue(self) -> Iterator[str]:
        """Return what should have come long ago, and why it did not."""
        now = self.world.wall.now()
        for row in self.world.rows("timer"):
            if row["kind"] == f"pack.{self.plugin}" and row["due_at"] + _OVERDUE < now:
                yield f"{row['type']} of {row['key']!r}: {self.last_error}"

    def plain(self, value: Any) -> Any:
        """Return a value without what differs from telling to telling."""
        text = msgspec.json.encode(value, order="sorted").decode()
        return msgspec.json.decode(self._plain_text(text))

    def _plain_text(self, text: str) -> str:
        text = _ID.sub(lambda found: self._names.get(found[0], "(id)"), text)
        text = _OWN_ID.sub("(id)", text)
        return _TIME.sub("(time)", text).replace(f"{self.tale}-", "#")


def _balance(rows: Mapping[Any, dict[str, Any]], account_id: str) -> str:
    row = rows[account_id,]
    return f"{row['posted_minor']} minor units, {row['held_minor']} of them held"
