"""The actor of merchants: it makes them, changes their terms, and shows them."""

from datetime import datetime, timedelta
from typing import ClassVar
from zlib import crc32

import msgspec

from actors.entity import Case, EntityActor, Plan, RecordChange, decides, reads
from actors.regulation.calendar import day_of, start_of_day
from actors.settlement.merchants import MERCHANT_TABLE, MerchantState, public_merchant
from actors.settlement.records import STANDING_TABLE, Standing
from actors.settlement.rule_set import SETTLEMENT_RULES, SettlementRules
from actors.settlement.terms import (
    Account,
    accounts_of,
    check_accounts,
    check_fees,
    check_terms,
    find_accounts,
)
from schemas.change import Event, Timer, due_ms
from schemas.errors import Ineligible, InvalidState, NotFound
from schemas.merchants import CreateMerchant, GetMerchant, Merchant, MerchantTerms, UpdateMerchant
from schemas.money import CNY
from schemas.subjects import OPERATOR_APP, PLATFORM_APP

__all__ = ("DAILY_TYPE", "MerchantActor")

DAILY_TYPE = "settlement.daily"

_DAY_S = 86_400

_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))
_json = msgspec.json.Encoder()


class MerchantActor(EntityActor):
    """One merchant, under the id of its collection account."""

    kind = "merchant"
    table: ClassVar = MERCHANT_TABLE

    @decides("merchant.create", CreateMerchant)
    async def create(self, request: CreateMerchant, case: Case) -> Plan:
        """Make an account a merchant's, and let its settlement begin."""
        merchant_id, terms = request.account_id, request.terms
        found = await find_accounts(case.store, {merchant_id, *accounts_of(terms)})
        app = _owner(merchant_id, case, found)
        if await MERCHANT_TABLE.load(case.store, merchant_id) is not None:
            raise InvalidState(f"account {merchant_id!r} is a merchant's", field="account_id")
        self._check(terms, merchant_id, app, case, found)
        rules = self._rules()
        state = MerchantState(
            name=request.name,
            terms=terms,
            standard_fee=rules.standard_fee,
            category=request.category,
            created_at=case.now,
            updated_at=case.now,
        )
        now_ms = case.now_ms
        standing = Standing(done_until_ms=now_ms, wanted_until_ms=now_ms)
        answer = public_merchant(merchant_id, app, 1, state)
        return Plan(
            answer=answer,
            # Named one by one: the back office makes merchants of other apps' accounts.
            also=(
                RecordChange(MERCHANT_TABLE, merchant_id, 0, app, state),
                RecordChange(STANDING_TABLE, merchant_id, 0, app, standing),
            ),
            events=(_told("merchant.created", answer),),
            timers=(_daily(merchant_id, app, case.now, rules),),
        )

    @decides("merchant.update", UpdateMerchant)
    async def update(self, request: UpdateMerchant, case: Case) -> Plan:
        """Replace what the request gives."""
        state = case.state(MerchantState, "merchant", "merchant_id")
        if request.version not in (None, case.version):
            raise InvalidState(
                f"merchant {case.key!r} is at version {case.version}, not {request.version}",
                field="version",
            )
        if request.terms is not None:
            found = await find_accounts(case.store, accounts_of(request.terms))
            self._check(request.terms, case.key, case.owner, case, found)
        after = msgspec.structs.replace(
            state,
            name=request.name or state.name,
            terms=request.terms or state.terms,
            category=request.category or state.category,
            standard_fee=state.standard_fee
            if request.terms is None
            else self._rules().standard_fee,
            updated_at=case.now,
        )
        answer = public_merchant(case.key, case.owner, case.version + 1, after)
        return Plan(answer=answer, state=after, events=(_told("merchant.updated", answer),))

    @reads("merchant.get", GetMerchant)
    async def get(self, request: GetMerchant, case: Case) -> Merchant:
        """Return the merchant as committed."""
        state = case.state(MerchantState, "merchant", "merchant_id")
        return public_merchant(case.key, case.owner, case.version, state)

    def _rules(self) -> SettlementRules:
        rules: SettlementRules = self.parts.rules.current(SETTLEMENT_RULES)
        return rules

    def _check(
        self,
        terms: MerchantTerms,
        merchant_id: str,
        app: str,
        case: Case,
        found: dict[str, Account],
    ) -> None:
        check_terms(terms, merchant_id)
        if case.app != OPERATOR_APP:
            check_fees(terms, self._rules())
        check_accounts(terms, app, found)


def _owner(merchant_id: str, case: Case, found: dict[str, Account]) -> str:
    """Return the app whose account is to collect for the merchant."""
    account = found.get(merchant_id)
    if account is None or account.app == PLATFORM_APP or not case.sees(account.app):
        raise NotFound(f"account {merchant_id!r} does not exist", field="account_id")
    if account.asset != CNY or account.status != "open":
        raise Ineligible(
            f"account {merchant_id!r} is {account.status} and kept in {account.asset}; a merchant "
            f"collects on an open one in {CNY}",
            field="account_id",
        )
    return account.app


def _told(type_: str, merchant: Merchant) -> Event:
    return Event(type_, merchant.merchant_id, _json.encode(merchant).decode(), merchant.app)


def _daily(merchant_id: str, app: str, now: datetime, rules: SettlementRules) -> Timer:
    """Return the timer that settles each day before, at a minute that is the merchant's own."""
    spread_s = crc32(merchant_id.encode()) % (rules.daily_spread_minutes * 60)
    due_at = start_of_day(day_of(now) + timedelta(days=1)) + timedelta(
        minutes=rules.daily_from_minute, seconds=spread_s
    )
    return Timer(
        f"settlement.{merchant_id}", due_ms(due_at), "settlement", merchant_id,
        DAILY_TYPE, app, _NOTHING, _DAY_S,
    )  # fmt: skip
