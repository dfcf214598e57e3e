"""The actor of customers: who is known to an app, and who of the bank's staff looked closer."""

from typing import Any, ClassVar

import msgspec

from actors.customers import _flow as flow
from actors.customers.masking import scrub
from actors.customers.records import (
    BOUND_CARD_TABLE,
    CUSTOMER_TABLE,
    CustomerState,
    public_bound,
    public_customer,
)
from actors.customers.sealing import SealedRegistration, SealedValue, personal_data
from actors.customers.services import Services, read_personal
from actors.digest import request_digest
from actors.entity import Case, EntityActor, Plan, decides, reads
from actors.parts import Parts
from kernel.actor import ActorContext, BoundHandler, Delivery
from kernel.store import Query, Where
from schemas.change import Alternative, Change
from schemas.customers import (
    Customer,
    CustomerAccount,
    CustomerDetails,
    GetCustomer,
    RevealCustomer,
    RevealedCustomer,
)
from schemas.envelope import REPLAYED
from schemas.errors import InvalidState
from schemas.ledger import Moves, encode_moves

__all__ = ("CustomerActor",)

_ACCOUNT = ("opened_at", "account_id", "class", "status")

_json = msgspec.json.Encoder()
_reveal_decoder = msgspec.msgpack.Decoder(RevealCustomer)


class CustomerActor(EntityActor):
    """One customer of one app."""

    kind = "customer"
    table: ClassVar = CUSTOMER_TABLE

    def __init__(self, context: ActorContext, *, parts: Parts, services: Services) -> None:
        super().__init__(context, parts=parts)
        self._services = services

    def digest_of(self, message: Any, delivery: Delivery) -> bytes:
        """Return the digest of the plain request, as the door took it; a seal is never the same."""
        digest = getattr(message, "digest", None)
        return digest if isinstance(digest, bytes) else super().digest_of(message, delivery)

    @decides("customer.register", SealedRegistration)
    async def register(self, request: SealedRegistration, case: Case) -> Plan:
        """Make the customer known, or find that it is; a new phone number replaces the old one."""
        values = {one.field: one for one in request.values}
        known = case.state_or_none(CustomerState)
        if known is None:
            state = _new_customer(request, case, values)
            return self._stands(case, state, "customer.registered", request.values, 1)
        if known.name_lookup != values["name"].lookup:
            raise InvalidState(
                f"customer {case.key!r} is registered with this identity number and another name",
                field="name",
            )
        if known.phone_lookup == values["phone"].lookup:
            return Plan(answer=public_customer(case.key, known))
        state = msgspec.structs.replace(
            known,
            phone=request.phone,
            phone_lookup=values["phone"].lookup,
            phone_version=known.phone_version + 1,
        )
        changed = (values["phone"],)
        return self._stands(case, state, "customer.updated", changed, state.phone_version)

    def _stands(
        self, case: Case, state: CustomerState, event: str, values: tuple[SealedValue, ...],
        version: int,
    ) -> Plan:  # fmt: skip
        shown = public_customer(case.key, state)
        return Plan(
            answer=shown,
            state=state,
            facts=tuple(personal_data(case.key, values, version)),
            events=(case.tell(event, case.key, shown),),
        )

    @reads("customer.get", GetCustomer)
    async def get(self, request: GetCustomer, case: Case) -> CustomerDetails:
        """Return the customer, masked, with its accounts."""
        state = case.state(CustomerState, "customer", "customer_id")
        rows = await case.store.fetch(
            Query(
                table="account",
                columns=_ACCOUNT,
                where=(Where("customer_id", "=", case.key),),
            )
        )
        bound = await BOUND_CARD_TABLE.load_many(case.store, (row[1] for row in rows))
        accounts = [
            CustomerAccount(
                account_id=account_id,
                account_class=account_class,
                status=status,
                opened_at=opened_at,
                bound=public_bound(bound[account_id].state) if account_id in bound else None,
            )
            for opened_at, account_id, account_class, status in sorted(rows)
        ]
        shown: Customer = public_customer(case.key, state)
        return CustomerDetails(**msgspec.structs.asdict(shown), accounts=accounts)

    # The one answer with plain values. It is not that of the change, which is kept.

    def handler(self, type_: str) -> BoundHandler | None:
        """Return how messages named ``type_`` are decoded and handled, or None."""
        if type_ == "customer.reveal":
            return _reveal_decoder.decode, self._reveal
        return super().handler(type_)

    async def _reveal(self, request: RevealCustomer, delivery: Delivery) -> RevealedCustomer:
        """Note in the audit trail who looks at what, and answer once that stands."""
        case = await self._case(delivery, request.request_id)
        state = case.state(CustomerState, "customer", "customer_id")
        fields = sorted(set(request.fields))
        plain = await read_personal(case.store, self._services.vault, state.sealed_owner, fields)
        noted = flow.audited(
            case,
            actor=request.revealed_to,
            action="customer.reveal",
            subject=case.key,
            detail=", ".join(fields),
            reason=scrub(request.purpose),
        )
        body = delivery.envelope.body
        change = Change(
            case.app,
            request.request_id,
            delivery.envelope.type,
            request_digest(delivery.envelope.type, body),
            (
                Alternative(
                    encode_moves(Moves()),
                    (noted,),
                    (),
                    _json.encode(public_customer(case.key, state)).decode(),
                ),
            ),
            None,
            self.context.partition,
            self.context.epoch,
        )
        reply = await self.ask_journal(change, delivery.envelope.deadline_ms)
        if reply.note == REPLAYED:
            # One line of the trail is one look.
            raise InvalidState(
                "this request was answered before; to look again is to ask with a new id",
                field="request_id",
            )
        return RevealedCustomer(customer_id=case.key, **plain)


def _new_customer(
    request: SealedRegistration, case: Case, values: dict[str, SealedValue]
) -> CustomerState:
    return CustomerState(
        kind="person",
        party_id=request.party_id,
        name=request.name,
        id_number=request.id_number,
        phone=request.phone,
        sealed_owner=case.key,
        name_lookup=values["name"].lookup,
        phone_lookup=values["phone"].lookup,
        phone_version=1,
        registered_at=case.now,
    )
