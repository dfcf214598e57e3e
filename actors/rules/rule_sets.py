"""The rule sets of a node: as put by the back office, seen everywhere within a second."""

import logging
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from actors.entity.record import RecordTable
from kernel.clock import Clock
from kernel.store import Query, Store
from schemas.errors import InvalidField, NotFound, ZhihuiError

__all__ = ("LOOK_EVERY_S", "RULE_SET_TABLE", "RuleSet", "RuleSets", "StoredRules")

_log = logging.getLogger(__name__)

# How long a node may decide by rules that were just replaced.
LOOK_EVERY_S = 1.0


class StoredRules(msgspec.Struct, frozen=True):
    """A rule set as it is kept; ``rules`` is the document as it was put."""

    rules: dict[str, Any]


RULE_SET_TABLE = RecordTable(name="rule_set", key="name", state=StoredRules)


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of rules: the shape of the document, and the one that holds until another is put.

    ``check`` raises :class:`~schemas.errors.InvalidField` on what the shape alone cannot tell.
    """

    name: str
    shape: type[msgspec.Struct]
    default: msgspec.Struct
    check: Callable[[Any], None] | None = None

    def read(self, document: dict[str, Any]) -> Any:
        """Return the rules; raise :class:`~schemas.errors.InvalidField` naming what is wrong."""
        try:
            rules = msgspec.convert(document, self.shape)
        except msgspec.ValidationError as error:
            raise InvalidField(f"rules {self.name!r}: {error}", field="rules") from error
        if self.check is not None:
            self.check(rules)
        return rules


class RuleSets:
    """The rules of this node, by name. Those that cannot be read leave the ones before them."""

    def __init__(self, store: Store, clock: Clock, known: Iterable[RuleSet]) -> None:
        self._store = store
        self._clock = clock
        self._known = {one.name: one for one in known}
        self._current: dict[str, tuple[int, Any]] = {
            name: (0, one.default) for name, one in self._known.items()
        }
        self._listeners: dict[str, list[Callable[[Any, int], None]]] = {}

    def known(self, name: str) -> RuleSet:
        """Return the kind of rules of that name."""
        try:
            return self._known[name]
        except KeyError:
            raise NotFound(
                f"there are no rules {name!r}; there are {', '.join(sorted(self._known))}",
                field="name",
            ) from None

    def current(self, name: str) -> Any:
        """Return the rules in force; the default until others are put."""
        return self._current[name][1]

    def version(self, name: str) -> int:
        """Return the version of the rules in force; 0 for the default."""
        return self._current[name][0]

    def on_change(self, name: str, listener: Callable[[Any, int], None]) -> None:
        """Call ``listener`` with the rules and their version, now and whenever they change."""
        self._listeners.setdefault(name, []).append(listener)
        version, rules = self._current[name]
        listener(rules, version)

    async def load(self) -> None:
        """Read what is in force."""
        rows = await self._store.fetch(Query(table="rule_set", columns=("name", "version", "body")))
        for name, version, body in rows:
            known = self._known.get(name)
            if known is None or version == self._current[name][0]:
                continue
            try:
                rules = known.read(msgspec.json.decode(body, type=StoredRules).rules)
            except ZhihuiError as error:
                # Put by a newer program whose rules this one does not know.
                _log.error("rules %s, version %d, stay unread: %s", name, version, error.message)
                continue
            self._current[name] = (version, rules)
            _log.info("rules %s are at version %d", name, version)
            for listener in self._listeners.get(name, ()):
                listener(rules, version)

    async def keep(self) -> None:
        """Read again and again, until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.load()
            except ZhihuiError as error:
                _log.warning("rules are not looked up: %s", error.message)
