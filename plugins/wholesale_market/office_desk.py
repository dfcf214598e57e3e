"""The market's office: opening the market, and entering scales, farmers and carriers."""

from zhihui.plugin import Context, InvalidField, NotFound, Notice, Pack, Plan, operation

from .market_clock import load_zone
from .office_messages import (
    CarrierRegistered,
    FarmerRegistered,
    GetMarket,
    MarketOpened,
    OpenMarket,
    RegisterCarrier,
    RegisterFarmer,
    RegisterScale,
    ScaleRegistered,
)
from .registry import market_of
from .state import Carrier, Farmer, Market, Scale
from .terms import check_tiers

__all__ = (
    "get_market",
    "open_market",
    "register_carrier",
    "register_farmer",
    "register_scale",
)


@operation(
    "open_market",
    collection="market",
    key="market_id",
    state=Market,
    result=MarketOpened,
    events=("wholesale_market.market_opened",),
)
async def open_market(
    pack: Pack, context: Context, message: OpenMarket, market: Market | None
) -> Plan:
    """Open a market, or give an open one other accounts or terms."""
    _check_market(message)
    opened = Market(
        market_id=message.market_id,
        fee_account=message.fee_account,
        advance_account=message.advance_account,
        interest_account=message.interest_account,
        terms=message.terms,
    )
    result = MarketOpened(
        market_id=opened.market_id,
        fee_account=opened.fee_account,
        advance_account=opened.advance_account,
        interest_account=opened.interest_account,
        terms=opened.terms,
        status="opened" if market is None else "unchanged" if market == opened else "updated",
    )
    notice = Notice(type="wholesale_market.market_opened", subject=opened.market_id, data=result)
    return Plan(
        state=opened, result=result, notices=() if result.status == "unchanged" else (notice,)
    )


def _check_market(message: OpenMarket) -> None:
    try:
        load_zone(message.terms.zone)
    except ValueError as error:
        raise InvalidField(
            f"{error}; use a name of the IANA database such as 'Asia/Shanghai'",
            field="terms.zone",
        ) from error
    try:
        check_tiers(message.terms.fee_tiers)
    except ValueError as error:
        raise InvalidField(str(error), field="terms.fee_tiers") from error
    if message.advance_account in (message.fee_account, message.interest_account):
        # Else what the market has earned would be lent out, and nobody could tell them apart.
        raise InvalidField("the advance needs an account of its own", field="advance_account")


@operation(
    "get_market",
    collection="market",
    key="market_id",
    state=Market,
    result=MarketOpened,
    mutates=False,
    errors=("not_found",),
)
async def get_market(
    pack: Pack, context: Context, message: GetMarket, market: Market | None
) -> MarketOpened:
    """Read a market's accounts and terms."""
    if market is None:
        raise NotFound(f"no market {message.market_id!r}", field="market_id")
    return MarketOpened(
        market_id=market.market_id,
        fee_account=market.fee_account,
        advance_account=market.advance_account,
        interest_account=market.interest_account,
        terms=market.terms,
        status="unchanged",
    )


@operation(
    "register_scale",
    collection="scale",
    key="scale_id",
    state=Scale,
    result=ScaleRegistered,
    errors=("not_found",),
)
async def register_scale(
    pack: Pack, context: Context, message: RegisterScale, scale: Scale | None
) -> Plan:
    """Enter a verified scale, or a new verification of one."""
    await market_of(context, message.market_id)
    if message.max_g % message.division_g:
        raise InvalidField(
            f"max_g is {message.max_g}, not whole divisions of {message.division_g} g",
            field="max_g",
        )
    entered = Scale(
        scale_id=message.scale_id,
        market_id=message.market_id,
        division_g=message.division_g,
        max_g=message.max_g,
        verified_until=message.verified_until,
        referee=message.referee,
    )
    result = ScaleRegistered(
        scale_id=entered.scale_id,
        market_id=entered.market_id,
        division_g=entered.division_g,
        max_g=entered.max_g,
        verified_until=entered.verified_until,
        referee=entered.referee,
        status="registered" if scale is None else "unchanged" if scale == entered else "updated",
    )
    return Plan(state=entered, result=result)


@operation(
    "register_farmer",
    collection="farmer",
    key="farmer_id",
    state=Farmer,
    result=FarmerRegistered,
)
async def register_farmer(
    pack: Pack, context: Context, message: RegisterFarmer, farmer: Farmer | None
) -> Plan:
    """Enter a farmer, or another account of one."""
    entered = Farmer(farmer_id=message.farmer_id, account_id=message.account_id)
    result = FarmerRegistered(
        farmer_id=entered.farmer_id,
        account_id=entered.account_id,
        status="registered" if farmer is None else "unchanged" if farmer == entered else "updated",
    )
    return Plan(state=entered, result=result)


@operation(
    "register_carrier",
    collection="carrier",
    key="carrier_id",
    state=Carrier,
    result=CarrierRegistered,
)
async def register_carrier(
    pack: Pack, context: Context, message: RegisterCarrier, carrier: Carrier | None
) -> Plan:
    """Enter a carrier with the price of a kilogram, or change one."""
    entered = Carrier(
        carrier_id=message.carrier_id,
        account_id=message.account_id,
        per_kg_minor=message.per_kg_minor,
    )
    known = carrier is not None
    result = CarrierRegistered(
        carrier_id=entered.carrier_id,
        account_id=entered.account_id,
        per_kg_minor=entered.per_kg_minor,
        status="registered" if not known else "unchanged" if carrier == entered else "updated",
    )
    return Plan(state=entered, result=result)
