"""The simulated platform, as the tests of a pack use it."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import anyio
import msgspec

from kernel.plugins.archive import Archive
from kernel.randomness import SeededRandomness
from kernel.virtual_time import VirtualClock, run_virtual
from schemas.catalogue import BANK_OPERATIONS
from zhihui.author.history import History, listening
from zhihui.simulation.books import check_books
from zhihui.simulation.caller import Caller
from zhihui.simulation.world import World

__all__ = (
    "APP",
    "NODE",
    "SETTINGS",
    "START",
    "STORY_S_MAX",
    "PackBroken",
    "Platform",
    "PublishedNews",
    "Refused",
    "on_platform",
)

T = TypeVar("T")

APP = "shop"
NODE = "n1"
# A Monday at eight in the morning in China, so that days and nights are where people expect them.
START = datetime.fromisoformat("2026-03-02T08:00:00+08:00")
# Of the time that nodes are awake in: one that does not end fails instead of hanging.
STORY_S_MAX = 86_400.0
# What is under way when a test moves on: messages between identities take milliseconds.
_SETTLE = timedelta(seconds=0.05)
SETTINGS = {"ZHIHUI_PLUGIN_UNSIGNED": "1"}

_READS = frozenset(one.name for one in BANK_OPERATIONS if not one.mutates)


class Refused(Exception):
    """The answer was an error; ``code`` is one of the codes in ``docs/for-backends.md``."""

    def __init__(self, operation: str, code: str, message: str) -> None:
        super().__init__(f"{operation} was refused: {code}: {message}")
        self.code = code


class PackBroken(Exception):
    """The pack does not load, or the platform is not sound after a story; the message says why."""


class PublishedNews(msgspec.Struct, frozen=True, kw_only=True):
    """An event as backends receive it."""

    type: str
    subject: str
    data: dict[str, Any]
    app: str
    at: datetime


class Platform:
    """A whole service on virtual time, with one pack in it; each test has its own.

    Nothing passes by itself but what a story waits for: a request takes no time, and
    :meth:`advance` moves the clock. Requests are asked again until there is a definite answer, as
    a sound backend does.
    """

    def __init__(self, world: World, archive: Archive, seed: int, history: History) -> None:
        self.world = world
        self.seed = seed
        self.history = history
        self.manifest = archive.manifest
        self._reads = _READS | {
            f"{archive.manifest.name}.{one.verb}"
            for one in archive.manifest.operations
            if not one.mutates
        }
        self._callers: dict[str, Caller] = {}
        self._requests = 0
        self._letters_seen = False

    @property
    def now(self) -> datetime:
        """The time on the platform."""
        return self.world.wall.now()

    # Asking.

    async def call(
        self, operation: str, /, *, app: str = APP, request_id: str = "", **fields: Any
    ) -> Any:
        """Ask for an operation and return its result; raise :class:`Refused`.

        ``rent`` is one of the pack, ``account.open`` one of the bank. A request id is made up
        unless one is given.
        """
        operation = self._full(operation)
        if operation not in self._reads:
            self._requests += 1
            fields = {"request_id": request_id or f"t-{self._requests}", **fields}
        answer = await self.ask(operation, msgspec.json.encode(fields), app=app, shown=fields)
        if not answer["ok"]:
            error = answer["error"]
            raise Refused(operation, error["code"], error["message"])
        return answer["result"]

    async def refused(self, operation: str, /, **fields: Any) -> str:
        """Ask for what must be refused, and return the code of the error."""
        try:
            result = await self.call(operation, **fields)
        except Refused as refusal:
            return refusal.code
        raise AssertionError(f"{operation} was to be refused, and answered {result!r}")

    async def ask(self, operation: str, body: bytes, *, app: str = APP, shown: Any = None) -> Any:
        """Ask with these bytes and return the whole answer, ``ok`` or not."""
        operation = self._full(operation)
        self.history.asked(self.now, app, operation, repr(body) if shown is None else shown)
        answer = await (await self._caller(app)).settle(operation, body)
        self.history.answered(self.now, answer)
        return answer

    def _full(self, operation: str) -> str:
        return operation if "." in operation else f"{self.manifest.name}.{operation}"

    async def _caller(self, app: str) -> Caller:
        caller = self._callers.get(app)
        if caller is None:
            caller = self._callers[app] = Caller(self.world, app)
            await caller.open()
        return caller

    # Money.

    async def open_account(
        self, money_minor: int = 0, *, holder: str = "Li Lei", type: str = "customer",  # noqa: A002
        app: str = APP,
    ) -> str:  # fmt: skip
        """Open an account with this much in it, in minor units, and return its id."""
        opened = await self.call("account.open", app=app, holder=holder, type=type)
        account_id = str(opened["account_id"])
        if money_minor:
            await self.call(
                "account.deposit", app=app, account_id=account_id, amount_minor=money_minor,
                source="external:cash",
            )  # fmt: skip
        return account_id

    def balance(self, account_id: str) -> int:
        """Return what is in an account, in minor units, that which is held among it."""
        return int(self._balance(account_id)["posted_minor"])

    def held(self, account_id: str) -> int:
        """Return how much of an account is held and cannot be spent."""
        return int(self._balance(account_id)["held_minor"])

    def _balance(self, account_id: str) -> dict[str, Any]:
        found = self.world.database.rows("balance").get((account_id,))
        if found is None:
            raise KeyError(f"there is no account {account_id!r}")
        return found

    # What came of it.

    def document(self, collection: str, key: str, *, app: str = APP) -> dict[str, Any] | None:
        """Return the document of an identity as it is stored, or None."""
        name = (self.manifest.name, collection, f"{app}/{key}")
        row = self.world.database.rows("document").get(name)
        return None if row is None else msgspec.json.decode(row["body"])

    def events(self, type: str = "") -> list[PublishedNews]:  # noqa: A002
        """Return the pack's events in their order, all or those of one type."""
        wanted = self._full(type) if type else ""
        return [
            PublishedNews(
                type=row["type"], subject=row["subject"], app=row["app"], at=row["at"],
                data=msgspec.json.decode(row["data"]),
            )
            for row in self.world.rows("event")
            if row["type"] == wanted
            or (not wanted and row["type"].startswith(f"{self.manifest.name}."))
        ]  # fmt: skip

    def dead_letters(self) -> list[str]:
        """Return why messages could not be processed; whoever looks says that there may be some."""
        self._letters_seen = True
        return [str(row["reason"]) for row in self.world.rows("dead_letter")]

    # Time and trouble.

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass; timers that become due meanwhile do their work."""
        duration = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        self.history.note(self.now, f"time: {duration} pass")
        await self.world.let_pass(duration + _SETTLE)

    async def crash(self) -> None:
        """Kill the node in the middle of whatever it does, and start it again."""
        self.history.note(self.now, "the node is killed")
        self.world.kill(NODE)
        await self.world.restart(NODE)
        self.history.note(self.now, "the node serves again")

    def set_hostile(self, *, hostile: bool = True) -> None:
        """Lose some messages and some connections from now on, as the seed has it."""
        self.history.note(self.now, f"hostile: {hostile}")
        self.world.hostile = hostile

    def check(self) -> None:
        """Raise :class:`PackBroken` unless the books are whole and no message is a dead letter."""
        if wrong := check_books(self.world):
            raise PackBroken("the books are not whole: " + "; ".join(wrong[:5]))
        letters = self.world.rows("dead_letter")
        if letters and not self._letters_seen:
            raise PackBroken(
                f"{len(letters)} messages became dead letters; the first is {letters[0]['type']}:\n"
                f"{letters[0]['reason']}"
            )


def on_platform(
    archive: Archive, story: Callable[[Platform], Awaitable[T]], *, seed: int = 1,
    history: History | None = None,
) -> T:  # fmt: skip
    """Play a story on a platform of its own, and return what it returns.

    What the story raises is raised as it is.
    """
    known = history or History()
    worlds: list[World] = []

    def hear(line: str) -> None:
        if worlds:
            known.note(worlds[0].wall.now(), line)

    async def main(clock: VirtualClock, randomness: SeededRandomness) -> Any:
        async with anyio.create_task_group() as tasks:
            world = World(clock, randomness, tasks, SETTINGS, archives=(archive,), steady=True)
            worlds.append(world)
            try:
                with anyio.fail_after(STORY_S_MAX):
                    platform = await _started(world, archive, seed, known)
                    result = await story(platform)
                    platform.check()
                    return result, None
            except Exception as error:  # noqa: BLE001 - it is raised below, outside of the group
                return None, error
            finally:
                tasks.cancel_scope.cancel()

    try:
        with listening(hear):
            result, error = run_virtual(main, seed=seed, start=START)
    finally:
        for world in worlds:
            world.forget_code()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


async def _started(world: World, archive: Archive, seed: int, history: History) -> Platform:
    node = await world.start(NODE)
    troubles = node.plugins.statistics().convergence.troubles
    if troubles:
        raise PackBroken(f"the pack does not load: {troubles[0].error}")
    return Platform(world, archive, seed, history)
