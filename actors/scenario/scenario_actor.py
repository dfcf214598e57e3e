"""One identity of a scenario pack, such as a vehicle: its documents, and whose turn it is.

Each message is the work of one generation of the pack from its first line to its commit: of the one
that serves the key when the message's turn comes.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from actors.payments.profiles import Profiles
from actors.scenario.documents import Document
from actors.scenario.handling import Handling
from actors.scenario.served_pack import served_by
from kernel.actor import Actor, ActorContext, BoundHandler, Delivery
from kernel.plugins.errors import TurnFailed
from kernel.plugins.slot import Slot
from kernel.store import Store
from schemas.errors import ZhihuiError

__all__ = ("ScenarioActor", "scenario_actor_factory")


class ScenarioActor(Actor):
    """Run a pack's operations and timers for one key, one message at a time."""

    def __init__(
        self, context: ActorContext, *, slot: Slot, store: Store, profiles: Profiles
    ) -> None:
        super().__init__(context)
        self._slot = slot
        self._store = store
        self._profiles = profiles
        self._documents: dict[tuple[str, str], Document] = {}

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how any message is taken: whether the pack knows it is for its version to say."""
        del type_
        return _as_it_is, self._take

    async def _take(self, body: msgspec.Raw, delivery: Delivery) -> bytes:
        generation = self._slot.pick(self.context.key)
        with generation.lease() as lease:
            handling = Handling(
                self.context,
                served_by(generation, self._slot, self._store),
                lease,
                self._documents,
                self._store,
                self._profiles,
            )
            try:
                return await handling.take(body, delivery)
            except ZhihuiError:
                raise
            except Exception as error:
                if not (handling.unawaited or self._slot.is_on_trial(generation)):
                    raise
                self.context.log.exception("%s failed", generation.name)
                failure = f"{generation.name} failed and nothing was committed: {error!r}"
            # Not where it was caught: then it would hold what the pack was doing.
            raise TurnFailed(failure)


def _as_it_is(body: msgspec.Raw) -> msgspec.Raw:
    return body


def scenario_actor_factory(slot: Slot, store: Store) -> Callable[[ActorContext], ScenarioActor]:
    """Return what makes an actor for a key of the plugin in a slot."""
    return partial(ScenarioActor, slot=slot, store=store, profiles=Profiles(store))
