"""The payee's side of a payment: the fee and the shares that it gives, and their way back."""

import msgspec

from actors.entity import Part
from actors.payments.moves import PURPOSE_SPLIT, PURPOSE_SPLIT_BACK, as_steps, exactly, steps
from actors.payments.profiles import Profiles
from actors.payments.records import PaymentState
from actors.payments.turn import Turn
from actors.settlement.division import DividedShare, Division, give_back
from actors.settlement.legs import LEG_TABLE, LegOf, settle_capture, settle_refund
from actors.settlement.merchants import KnownMerchant, MerchantBook
from actors.settlement.splitting import check_rule, split
from kernel.store import Query, Store, Where
from schemas.errors import InvalidField
from schemas.merchants import SplitRule

__all__ = ("Shared", "Sharing", "with_rule")

# The name under which a payment's own rule is put among those of the merchant; no identifier from
# outside can be like it.
_OWN_RULE = "~own"

_FIELDS = ("payee", "split")


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """How the payee's side of a payment stands, and what of the change belongs to it.

    ``settled`` tells that the payee is a merchant, so that a settlement is told of all of it.
    """

    division: Division | None = None
    settled: bool = False
    part: Part = Part()


class Sharing:
    """What of a captured amount goes on to the bank and to participants, by the payee's terms."""

    def __init__(self, store: Store, merchants: MerchantBook, profiles: Profiles) -> None:
        self._store = store
        self._merchants = merchants
        self._profiles = profiles

    async def check(self, payee: str, rule: SplitRule | str | None) -> None:
        """Raise unless the payee's payments can be split by the rule.

        Whether an amount carries it, is known when the amount is.
        """
        if rule is None:
            return
        if isinstance(rule, SplitRule):
            check_rule(rule)
            for account in _participants(rule):
                await self._profiles.payable(account, "split")
            return
        merchant = (await self._merchants.by_account((payee,))).get(payee)
        if merchant is None or rule not in merchant.terms.splits:
            raise InvalidField(f"payee {payee!r} has no split rule {rule!r}", field="split")

    async def pay_out(
        self, turn: Turn, state: PaymentState, amount_minor: int, leg_id: str
    ) -> Shared:
        """Return the division with this amount in it, and what follows the credit of the payee."""
        rule = state.split
        own = _participants(rule) if isinstance(rule, SplitRule) else ()
        known = await self._merchants.by_account((state.payee, *own))
        merchant = known.get(state.payee)
        if state.captures and not state.settled:
            # It became a merchant's account between two captures, and all are treated alike.
            merchant = None
        if merchant is not None:
            merchant, name = with_rule(merchant, rule)
            leg = _leg_of(turn, state, leg_id)
            division, part = settle_capture(amount_minor, merchant, known, leg, rule_name=name)
            part = as_steps(part)
        elif isinstance(rule, SplitRule):
            division, part = _own_division(state.payee, amount_minor, rule)
        elif rule is not None:
            raise InvalidField(f"payee {state.payee!r} has no split rule {rule!r}", field="split")
        else:
            return Shared()
        if state.division is not None:
            division = state.division.plus(division)
        return Shared(division=division, settled=merchant is not None, part=part)

    async def take_back(
        self, turn: Turn, state: PaymentState, amount_minor: int, leg_id: str
    ) -> Shared:
        """Return the division after a refund, and what precedes the debit of the payee.

        The bank and the participants give back in proportion, exact over all refunds together.
        """
        division = state.division
        if division is None:
            return Shared()
        if state.settled:
            # Also of those whom the terms, or the payment's own rule, do not name any more.
            gave_to = (share.account_id for share in division.shares)
            known = await self._merchants.by_account((state.payee, *gave_to))
            leg = _leg_of(turn, state, leg_id)
            after, part = settle_refund(division, amount_minor, known[state.payee], known, leg)
            return Shared(division=after, settled=True, part=as_steps(part))
        given = give_back(division, amount_minor)
        moves = [
            exactly(account, state.payee, amount, PURPOSE_SPLIT_BACK, fields=("split", "payee"))
            for account, amount in given.shares
        ]
        return Shared(division=given.after, part=steps(*moves))

    async def of_one_shot(self, payee: str, payment_id: str, change_seq: int) -> Shared:
        """Return how a payment that was made at once was divided, as its settlement leg says.

        Whether its fee goes back is decided by the merchant's terms of today.
        """
        rows = await self._store.fetch(
            Query(
                table=LEG_TABLE.name,
                columns=("leg_id", "gross_minor", "fee_minor", "shares"),
                where=(Where("merchant_id", "=", payee), Where("change_seq", "=", change_seq)),
            )
        )
        found = [row for row in rows if row[0] == payment_id]
        if not found:
            return Shared()
        _, gross, fee, shares = found[0]
        merchant = (await self._merchants.by_account((payee,)))[payee]
        division = Division(
            merchant_id=payee,
            gross_minor=gross,
            fee_minor=fee,
            fee_returnable_minor=fee if merchant.terms.refund_fee else 0,
            shares=tuple(
                DividedShare(account_id=account, amount_minor=amount)
                for account, amount in msgspec.json.decode(shares, type=list[tuple[str, int]])
            ),
        )
        return Shared(division=division, settled=True)


def with_rule(
    merchant: KnownMerchant, rule: SplitRule | str | None
) -> tuple[KnownMerchant, str | None]:
    """Return the merchant with a payment's own rule among its rules, and the name of the rule."""
    if not isinstance(rule, SplitRule):
        return merchant, rule
    splits = {**merchant.terms.splits, _OWN_RULE: rule}
    terms = msgspec.structs.replace(merchant.terms, splits=splits)
    return msgspec.structs.replace(merchant, terms=terms), _OWN_RULE


def _leg_of(turn: Turn, state: PaymentState, leg_id: str) -> LegOf:
    return LegOf(
        leg_id=leg_id, payment_id=state.payment_id, app=turn.app, method=state.method,
        at=turn.now,
    )  # fmt: skip


def _participants(rule: SplitRule) -> tuple[str, ...]:
    accounts = [share.account_id for share in rule.shares]
    return tuple(accounts) if rule.remainder is None else (*accounts, rule.remainder)


def _own_division(payee: str, amount_minor: int, rule: SplitRule) -> tuple[Division, Part]:
    """Divide a payment whose payee is no merchant, and therefore pays no fee."""
    parts = split(amount_minor, rule)
    accounts = [share.account_id for share in rule.shares]
    accounts.append(rule.remainder or payee)
    shares = tuple(
        DividedShare(account_id=account, amount_minor=part)
        for account, part in zip(accounts, parts, strict=True)
        if account != payee and part
    )
    division = Division(
        merchant_id=payee, gross_minor=amount_minor, fee_minor=0, fee_returnable_minor=0,
        shares=shares,
    )  # fmt: skip
    moves = [
        exactly(payee, share.account_id, share.amount_minor, PURPOSE_SPLIT, fields=_FIELDS)
        for share in shares
    ]
    return division, steps(*moves)
