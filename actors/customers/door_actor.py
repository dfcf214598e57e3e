"""The door: where data of persons comes in, is checked, and is sealed before anything else."""

from datetime import date
from typing import Any, ClassVar

import msgspec

from actors.customers.masking import without_message
from actors.customers.sealing import (
    seal_binding,
    seal_corporate_opening,
    seal_personal_opening,
    seal_registration,
)
from actors.customers.vault import Vault
from actors.regulation.calendar import day_of
from kernel.actor import BatchActor, Delivery
from kernel.clock import Clock
from kernel.randomness import IdFactory
from kernel.store import Query, Store
from schemas.customers import (
    BindCard,
    OpenCorporateAccount,
    OpenPersonalAccount,
    RegisterCustomer,
)
from schemas.errors import NotReady, ZhihuiError

__all__ = ("CASE_KIND", "CUSTOMER_KIND", "DoorActor")

CUSTOMER_KIND = "customer"
CASE_KIND = "account_case"


class DoorActor(BatchActor):
    """Turn requests with plain values into sealed ones and hand them to whom they concern.

    It keeps nothing. A request of its own that makes it fail becomes a dead letter without a body,
    because its operation is marked as sensitive.
    """

    kind = "customer_door"
    accepts: ClassVar[dict[str, type[msgspec.Struct]]] = {
        "customer.register": RegisterCustomer,
        "account.open_personal": OpenPersonalAccount,
        "account.open_corporate": OpenCorporateAccount,
        "account.bind": BindCard,
    }

    def __init__(self, vault: Vault, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._vault = vault
        self._store = store
        self._clock = clock
        self._ids = ids
        self._key_is_right = False
        self._decoders: dict[str, msgspec.msgpack.Decoder[Any]] = {
            type_: msgspec.msgpack.Decoder(message) for type_, message in self.accepts.items()
        }

    async def receive_batch(self, deliveries: list[Delivery]) -> None:
        """Forward each request, or refuse it."""
        await self._check_index_key()
        today = day_of(self._clock.now())
        for delivery in deliveries:
            try:
                self._forward(delivery, today)
            except ZhihuiError as error:
                delivery.fail(error)
            except Exception as error:  # noqa: BLE001 - told without its words, as it may quote
                raise RuntimeError(f"the door failed: {without_message(error)}") from None

    async def _check_index_key(self) -> None:
        """Raise unless what is stored was found by the same index key.

        Under another one every person would be somebody new, and the limits of a person would be
        counted anew.
        """
        if self._key_is_right:
            return
        rows = await self._store.fetch(Query(table="personal_data", columns=("lookup",), limit=1))
        if rows and not rows[0][0].startswith(self._vault.fingerprint):
            raise NotReady("the index key of this node is not the one that the data was stored by")
        # Without a row the next batch looks again.
        self._key_is_right = bool(rows)

    def _forward(self, delivery: Delivery, today: date) -> None:
        envelope = delivery.envelope
        app, type_ = envelope.app, envelope.type
        request = self._decoders[type_].decode(envelope.body)
        digest = self._vault.digest(type_, bytes(envelope.body))
        if isinstance(request, RegisterCustomer):
            customer_id, registration = seal_registration(
                request, app=app, vault=self._vault, digest=digest, today=today
            )
            delivery.forward(CUSTOMER_KIND, customer_id, type_, registration)
            return
        case_id = self._ids.new("case")
        sealed: msgspec.Struct
        if isinstance(request, OpenPersonalAccount):
            sealed = seal_personal_opening(
                request, case_id=case_id, vault=self._vault, digest=digest
            )
        elif isinstance(request, OpenCorporateAccount):
            sealed = seal_corporate_opening(
                request, app=app, case_id=case_id, vault=self._vault, digest=digest, today=today
            )
        else:
            sealed = seal_binding(request, case_id=case_id, vault=self._vault, digest=digest)
        delivery.forward(CASE_KIND, case_id, type_, sealed)
