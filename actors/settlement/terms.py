"""What a merchant may agree on: checked when it is made and when it changes, not at payments."""

import re
from collections.abc import Iterable
from typing import get_args

import msgspec

from actors.regulation.split_ceilings import check_rule_within
from actors.settlement.rule_set import SettlementRules
from actors.settlement.splitting import check_rule
from kernel.store import Query, Store, Where
from schemas.errors import Ineligible, InvalidField, NotFound
from schemas.merchants import MerchantTerms, PpmShare, SettleToAccount, SplitRule
from schemas.money import CNY
from schemas.payments import PaymentMethod
from schemas.subjects import PLATFORM_APP

__all__ = ("Account", "accounts_of", "check_accounts", "check_fees", "check_terms", "find_accounts")

_RULE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_METHODS = frozenset(get_args(PaymentMethod))


class Account(msgspec.Struct, frozen=True):
    """What is asked of an account that the terms name."""

    account_id: str
    app: str
    asset: str
    status: str


async def find_accounts(store: Store, account_ids: Iterable[str]) -> dict[str, Account]:
    """Return those of the accounts that exist."""
    rows = await store.fetch(
        Query(
            table="account",
            columns=("account_id", "app", "asset", "status"),
            where=(Where("account_id", "in", sorted(set(account_ids))),),
        )
    )
    return {row[0]: Account(*row) for row in rows}


def accounts_of(terms: MerchantTerms) -> set[str]:
    """Return the accounts to which the terms may send money."""
    found = {share.account_id for rule in terms.splits.values() for share in rule.shares}
    found |= {rule.remainder for rule in terms.splits.values() if rule.remainder is not None}
    if terms.partner is not None:
        found.add(terms.partner.account_id)
    if isinstance(terms.settle_to, SettleToAccount):
        found.add(terms.settle_to.account_id)
    return found


def check_terms(terms: MerchantTerms, merchant_id: str) -> None:
    """Raise :class:`InvalidField` for terms that do not make sense, whoever agreed on them."""
    unknown = sorted(set(terms.method_fees) - _METHODS)
    if unknown:
        raise InvalidField(
            f"{unknown[0]!r} is no method of payment; there are {', '.join(sorted(_METHODS))}",
            field="terms.method_fees",
        )
    for name, rule in terms.splits.items():
        if not _RULE_NAME.fullmatch(name):
            raise InvalidField(f"{name!r} cannot name a split rule", field="terms.splits")
        _check_rule(rule, terms, merchant_id)
    if terms.default_split is not None and terms.default_split not in terms.splits:
        raise InvalidField(
            f"there is no split rule {terms.default_split!r}", field="terms.default_split"
        )
    if terms.partner is not None and terms.partner.account_id == merchant_id:
        raise InvalidField("the merchant is not its own partner", field="terms.partner")
    if terms.settle_now_from_minor is not None and terms.cycle != "T+0":
        raise InvalidField(
            f"only T+0 settles at once; the cycle is {terms.cycle}",
            field="terms.settle_now_from_minor",
        )
    _check_settle_to(terms, merchant_id)


def _check_rule(rule: SplitRule, terms: MerchantTerms, merchant_id: str) -> None:
    partner = terms.partner
    whole = rule
    if partner is not None:
        share = PpmShare(account_id=partner.account_id, ppm=partner.ppm)
        whole = msgspec.structs.replace(rule, shares=(share, *rule.shares))
    check_rule(whole)
    check_rule_within(whole)
    if merchant_id in (rule.remainder, *(share.account_id for share in rule.shares)):
        raise InvalidField(
            "the merchant gets what the shares leave and has no share of its own; leave the "
            "remainder empty for it",
            field="terms.splits",
        )


def _check_settle_to(terms: MerchantTerms, merchant_id: str) -> None:
    target = terms.settle_to
    if isinstance(target, SettleToAccount):
        if target.account_id == merchant_id:
            raise InvalidField(
                "the collection account cannot be settled to itself", field="terms.settle_to"
            )
    elif target.reference.isdigit():
        raise InvalidField(
            "the reference is a number, as of a card or an account; name what that is known by, "
            "such as the source of a bound card",
            field="terms.settle_to",
        )


def check_fees(terms: MerchantTerms, rules: SettlementRules) -> None:
    """Raise :class:`Ineligible` for rates that an app may not agree on by itself."""
    for rate in (terms.fee, *terms.method_fees.values()):
        if rate is not None and rate.ppm < rules.least_ppm:
            raise Ineligible(
                f"a rate of {rate.ppm} ppm is below {rules.least_ppm}, the least that an app may "
                "agree on; ask the bank",
                field="terms.fee",
            )
        if rate is not None and rate.max_minor is not None:
            raise Ineligible("a fee with a most is for the bank to agree on", field="terms.fee")


def check_accounts(terms: MerchantTerms, app: str, found: dict[str, Account]) -> None:
    """Raise unless the terms send money to open accounts in CNY that may get it.

    What is settled stays with the merchant's ``app``; a participant may be anyone's but the bank's.
    """
    for account_id in sorted(accounts_of(terms)):
        account = found.get(account_id)
        own = isinstance(terms.settle_to, SettleToAccount) and (
            terms.settle_to.account_id == account_id
        )
        if account is None or account.app == PLATFORM_APP or (own and account.app != app):
            raise NotFound(
                f"account {account_id!r} does not exist",
                field="terms.settle_to" if own else "terms.splits",
            )
        if account.asset != CNY or account.status == "closed":
            raise Ineligible(
                f"account {account_id!r} is {account.status} and kept in {account.asset}; it has "
                f"to be open and kept in {CNY}",
                field="terms.settle_to" if own else "terms.splits",
            )
