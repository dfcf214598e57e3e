"""One identity of a scenario pack, such as a vehicle: its state document and its turns."""

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from actors.digest import request_digest
from actors.payments.compose import compose_payment
from actors.payments.profiles import Profiles
from kernel.actor import Actor, ActorContext, BoundHandler, Delivery
from kernel.clock import Clock
from kernel.journal import JOURNAL_KEY, JOURNAL_KIND, JOURNAL_TYPE, FactTable
from kernel.pack import Pack, PackOperation, Plan
from kernel.store import Store
from schemas.change import Alternative, Change, Event, Fact
from schemas.errors import Rejected, ZhihuiError
from schemas.ledger import Moves, encode_moves
from schemas.pay import Pay
from schemas.risk import RISK_CHECK_TYPE, RISK_KIND, RiskCheck, RiskFacts

__all__ = (
    "DOCUMENT_BYTES_MAX",
    "DOCUMENT_TABLE",
    "EFFECTS_MAX",
    "READ_AGE_S_MAX",
    "READ_DOCUMENTS_MAX",
    "ScenarioActor",
    "scenario_actor_factory",
)

DOCUMENT_TABLE = FactTable(
    "document",
    ("pack", "collection", "key", "version", "body"),
    ("text", "text", "text", "bigint", "text"),
    versioned=True,
    key=("pack", "collection", "key"),
)

# More than any plan of a sound pack holds, few enough for one frame.
EFFECTS_MAX = 64
# A document travels with every change of its identity.
DOCUMENT_BYTES_MAX = 64 * 1024

# A new tariff of a lot shows after this, seconds.
READ_AGE_S_MAX = 1.0
READ_DOCUMENTS_MAX = 10_000

_json = msgspec.json.Encoder()
_bytes_decoder = msgspec.msgpack.Decoder(bytes)


def _document_key(app: str, key: str) -> str:
    """Return the key under which an app's document is kept: one backend never sees another's."""
    return f"{app}/{key}"


class _Reader:
    """Other identities' documents, as committed at most :data:`READ_AGE_S_MAX` ago.

    Thousands of vehicles read the same few lots; without this each entry would cost a query.
    """

    def __init__(self, pack: str, store: Store) -> None:
        self._pack = pack
        self._store = store
        self._kept: dict[tuple[str, str], tuple[float, Any]] = {}

    async def read(self, collection: str, key: str, state: type[Any], now_s: float) -> Any:
        kept = self._kept.get((collection, key))
        if kept is not None and kept[0] > now_s:
            return kept[1]
        found = await self._store.load_document(self._pack, collection, key)
        # What is not there is not kept: it may be made at any moment, and then it is wanted.
        if found is None:
            return None
        document = msgspec.json.decode(found[1], type=state)
        if len(self._kept) >= READ_DOCUMENTS_MAX:
            self._kept.clear()
        self._kept[collection, key] = (now_s + READ_AGE_S_MAX, document)
        return document


class _Context:
    """See :class:`kernel.pack.Context`."""

    def __init__(
        self, app: str, request_id: str, clock: Clock, log: logging.Logger, reader: _Reader
    ) -> None:
        self.app = app
        self.request_id = request_id
        self.clock = clock
        self.log = log
        self._reader = reader

    async def read(self, collection: str, key: str, state: type[Any]) -> Any:
        """Return another identity's document as committed a moment ago, or None."""
        return await self._reader.read(
            collection, _document_key(self.app, key), state, self.clock.monotonic_s()
        )


class _Document:
    """A state with the version under which it is stored; 0 when it is not yet."""

    __slots__ = ("state", "version")

    def __init__(self, version: int, state: msgspec.Struct | None) -> None:
        self.version = version
        self.state = state


class ScenarioActor(Actor):
    """Run a pack's operations for one key, one message at a time."""

    def __init__(
        self,
        context: ActorContext,
        *,
        pack: Pack,
        handlers: Mapping[str, tuple[PackOperation, Callable[[msgspec.Raw], Any]]],
        store: Store,
        reader: _Reader,
        profiles: Profiles,
    ) -> None:
        super().__init__(context)
        self._profiles = profiles
        self._reader = reader
        self._pack = pack
        self._handlers = handlers
        self._store = store
        self._documents: dict[tuple[str, str], _Document] = {}

    def handler(self, type_: str) -> BoundHandler | None:
        """Return the pack's operation of that name, or None."""
        known = self._handlers.get(type_)
        if known is None:
            return None
        operation, decode = known
        return decode, partial(self._operate, operation)

    async def _operate(
        self, operation: PackOperation, message: Any, delivery: Delivery
    ) -> msgspec.Struct | bytes:
        app = delivery.envelope.app
        document = await self._document(app, operation)
        context = _Context(
            app,
            message.request_id if operation.mutates else "",
            self.context.clock,
            self.context.log,
            self._reader,
        )
        method = getattr(self._pack, operation.method)
        if not operation.mutates:
            result: msgspec.Struct = await method(context, message, document.state)
            return result
        plans: tuple[Plan, ...] = ()
        rejection = None
        try:
            decided = await method(context, message, document.state)
            plans = decided if isinstance(decided, tuple) else (decided,)
        except Rejected as error:
            # Sent to the journal all the same: there the id may be known with another answer,
            # and if it is not, it stays rejected when it is sent again.
            rejection = error.body()
        change = Change(
            app,
            message.request_id,
            delivery.envelope.type,
            request_digest(delivery.envelope.type, delivery.envelope.body),
            tuple(
                self._alternative(app, message.request_id, operation, document, plan)
                for plan in plans
            ),
            rejection,
            self.context.partition,
            self.context.epoch,
        )
        return await self._commit(operation, change, document, plans, delivery)

    async def _commit(
        self,
        operation: PackOperation,
        change: Change,
        document: _Document,
        plans: tuple[Plan, ...],
        delivery: Delivery,
    ) -> bytes:
        kind, key, type_, message = await self._checked(change, plans)
        try:
            reply = await self.context.ask(
                kind,
                key,
                type_,
                message,
                app=change.app,
                deadline_ms=delivery.envelope.deadline_ms,
            )
        except Rejected:
            raise
        except ZhihuiError:
            # Whether the change stands is not known, so neither is the state.
            self._documents.pop((change.app, operation.collection), None)
            raise
        if reply.note >= 0 and plans[reply.note].state is not None:
            document.version += 1
            document.state = plans[reply.note].state
        return _bytes_decoder.decode(reply.body)

    async def _checked(
        self, change: Change, plans: tuple[Plan, ...]
    ) -> tuple[str, str, str, msgspec.Struct]:
        """Return where the change goes: what moves money passes the risk check first."""
        pays = [one for plan in plans for one in plan.effects if isinstance(one, Pay)]
        if not pays:
            return JOURNAL_KIND, JOURNAL_KEY, JOURNAL_TYPE, change
        first = pays[0]
        profiles = await self._profiles.load((first.payer, first.payee))
        payer, payee = profiles.get(first.payer), profiles.get(first.payee)
        facts = RiskFacts(
            app=change.app,
            subject=f"{self._pack.name}:{self.context.key}",
            customer=(payer.customer_id if payer is not None else "") or first.payer,
            payer=first.payer,
            payee=first.payee,
            # The most that one of the ways may take.
            amount_minor=max(
                sum(one.amount_minor for one in plan.effects if isinstance(one, Pay))
                for plan in plans
            ),
            method="scenario",
            at_ms=self.context.clock.now_ms(),
            payee_type="" if payee is None else payee.type,
        )
        return RISK_KIND, facts.customer, RISK_CHECK_TYPE, RiskCheck(change, facts)

    async def _document(self, app: str, operation: PackOperation) -> _Document:
        name = (app, operation.collection)
        known = self._documents.get(name)
        if known is None:
            found = await self._store.load_document(
                self._pack.name, operation.collection, _document_key(app, self.context.key)
            )
            if found is None:
                known = _Document(0, None)
            else:
                state = msgspec.json.decode(found[1], type=operation.state)
                known = _Document(found[0], state)
            self._documents[name] = known
        return known

    def _alternative(
        self, app: str, request_id: str, operation: PackOperation, document: _Document, plan: Plan
    ) -> Alternative:
        if len(plan.effects) > EFFECTS_MAX:
            raise ValueError(f"a plan with {len(plan.effects)} effects; at most {EFFECTS_MAX}")
        now = self.context.clock.now()
        postings, facts, events = [], [], []
        for effect in plan.effects:
            if not isinstance(effect, Pay):
                raise TypeError(f"{type(effect).__name__} is not an effect that packs may ask for")
            composed = compose_payment(
                effect,
                app=app,
                request_id=request_id,
                payment_id=self.context.ids.new("pay"),
                method="seamless",
                created_at=now,
            )
            postings.append(composed.posting)
            facts.append(composed.fact)
            events.append(composed.event)
        if plan.state is not None:
            body = _json.encode(plan.state)
            if len(body) > DOCUMENT_BYTES_MAX:
                raise ValueError(f"a document of {len(body)} bytes; at most {DOCUMENT_BYTES_MAX}")
            facts.append(
                Fact(
                    "document",
                    (
                        self._pack.name,
                        operation.collection,
                        _document_key(app, self.context.key),
                        document.version + 1,
                        body.decode(),
                    ),
                )
            )
        events += [
            Event(notice.type, notice.subject, _json.encode(notice.data).decode())
            for notice in plan.notices
        ]
        return Alternative(
            encode_moves(Moves(postings=tuple(postings))),
            tuple(facts),
            tuple(events),
            _json.encode(plan.result).decode(),
        )


def scenario_actor_factory(pack: Pack, store: Store) -> Callable[[ActorContext], ScenarioActor]:
    """Return what makes an actor of this pack for a key."""
    handlers = {
        f"{pack.name}.{operation.verb}": (
            operation,
            msgspec.msgpack.Decoder(operation.request).decode,
        )
        for operation in pack.pack_operations()
    }
    reader = _Reader(pack.name, store)
    return partial(
        ScenarioActor, pack=pack, handlers=handlers, store=store, reader=reader,
        profiles=Profiles(store),
    )  # fmt: skip
