"""Things that are lent for an hour at a tariff, and counted."""

from datetime import datetime, timedelta

import msgspec

from schemas.identifiers import AccountId, Identifier, RequestId
from schemas.money import AmountMinor
from zhihui.plugin import (
    Context,
    InvalidState,
    NotFound,
    Notice,
    Pack,
    Pay,
    Plan,
    Schedule,
    Send,
    on_timer,
    operation,
)

__all__ = ("Sound",)


class SetTariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Set what an hour costs."""

    request_id: RequestId
    tariff_id: Identifier
    hour_minor: AmountMinor


class Lend(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Lend a thing for an hour."""

    request_id: RequestId
    thing_id: Identifier
    tariff_id: Identifier
    payer: AccountId
    owner: AccountId
    weight: int = 1


class Count(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Count what was lent."""

    request_id: RequestId
    owner: str


class Get(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a thing."""

    thing_id: Identifier


class GetTally(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Read a tally."""

    owner: AccountId


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a tariff."""

    hour_minor: int


class Thing(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a thing."""

    lent: int = 0
    at: datetime | None = None
    out: bool = False


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """The document of an owner's tally."""

    lent: int = 0


class Lent(msgspec.Struct, frozen=True, kw_only=True):
    """A thing was lent."""

    thing_id: str
    paid_minor: int


class HourOver(msgspec.Struct, frozen=True, kw_only=True):
    """The end of an hour."""


class Sound(Pack):
    """Lend things."""

    name = "sound"

    def __init__(self) -> None:
        self.memory: dict[str, int] = {}

    @operation("set_tariff", collection="tariff", key="tariff_id", state=Tariff, result=Tariff)
    async def set_tariff(self, context: Context, message: SetTariff, tariff: Tariff | None) -> Plan:
        """Set what an hour costs."""
        new = Tariff(hour_minor=message.hour_minor)
        return Plan(state=new, result=new)

    @operation(
        "lend", collection="thing", key="thing_id", state=Thing, result=Lent,
        errors=("not_found", "invalid_state", "insufficient_funds"), events=("sound.lent",),
    )  # fmt: skip
    async def lend(self, context: Context, message: Lend, thing: Thing | None) -> Plan:
        """Lend a thing for an hour."""
        tariff = await context.read("tariff", message.tariff_id, Tariff)
        if tariff is None:
            raise NotFound("there is no such tariff", field="tariff_id")
        thing = thing or Thing()
        if thing.out:
            raise InvalidState("it is lent", field="thing_id")
        price_minor = tariff.hour_minor
        lent = Lent(thing_id=message.thing_id, paid_minor=price_minor)
        over = context.now + timedelta(hours=1)
        return Plan(
            state=Thing(lent=thing.lent + 1, at=context.now, out=True),
            effects=(
                Pay(payer=message.payer, payee=message.owner, amount_minor=price_minor),
                Schedule(name="over", due_at=over, body=HourOver()),
                Send(verb="count", body=Count(request_id="sent", owner=message.owner)),
            ),
            notices=(Notice(type="sound.lent", subject=message.thing_id, data=lent),),
            result=lent,
        )

    @on_timer("over", collection="thing", state=Thing, body=HourOver)
    async def take_back(self, context: Context, body: HourOver, thing: Thing | None) -> Plan:
        """Take a thing back."""
        if thing is None:
            return Plan()
        return Plan(state=msgspec.structs.replace(thing, out=False))

    @operation("count", collection="tally", key="owner", state=Tally, result=Tally, internal=True)
    async def count(self, context: Context, message: Count, tally: Tally | None) -> Plan:
        """Count what was lent."""
        new = Tally(lent=(tally or Tally()).lent + 1)
        return Plan(state=new, result=new)

    @operation("get", collection="thing", key="thing_id", state=Thing, result=Thing, mutates=False)
    async def get(self, context: Context, message: Get, thing: Thing | None) -> Thing:
        """Return a thing."""
        return thing or Thing()

    @operation(
        "get_tally", collection="tally", key="owner", state=Tally, result=Tally, mutates=False
    )
    async def get_tally(self, context: Context, message: GetTally, tally: Tally | None) -> Tally:
        """Return a tally."""
        return tally or Tally()
