"""By what right a payer's money is taken: the app's own account, a mandate, or a code."""

from typing import Any

import msgspec
from msgspec import UNSET

from actors.entity import Case, Part, merge
from actors.payments.desk import PaymentDesk
from actors.payments.mandates import find_mandate, use_mandate
from actors.payments.moves import steps
from actors.payments.qr_codes import QR_RULES, QrUse, find_code, use_code
from actors.payments.records import ReservedTally
from actors.payments.sources import source_tag
from schemas.errors import InvalidField
from schemas.funding import AccountSource, FundingSource
from schemas.money import check_currency
from schemas.payments import CreatePayment
from schemas.risk import GeoPoint

__all__ = (
    "Authority",
    "check_request",
    "factors_of",
    "find_authority",
    "geo_of",
    "given",
)

_METHOD_FIELDS = {
    "confirm_after_days": ("guaranteed",),
    "expires_in_s": ("authorized",),
    "qr": ("qr_static", "qr_dynamic"),
}
# Only money that is here can be held.
_HOLDABLE = frozenset({"account", "credit"})


class Authority(msgspec.Struct, frozen=True, kw_only=True):
    """By what right the payer's money is taken, and what is counted for it.

    ``app`` is the one whose accounts pay: another one's only by a code that its customer has shown.
    """

    funding: tuple[FundingSource, ...]
    app: str
    part: Part = Part()
    reserved: tuple[ReservedTally, ...] = ()
    mandate_id: str = ""
    code: QrUse | None = None


def given(value: Any, default: Any) -> Any:
    """Return a field of a request, or what holds when it was left out."""
    return default if value is UNSET else value


def geo_of(request: CreatePayment) -> GeoPoint | None:
    """Return where the payer is, if the request says."""
    geo = request.geo
    return None if geo is UNSET else GeoPoint(geo.latitude_udeg, geo.longitude_udeg)


def check_request(request: CreatePayment) -> None:
    """Raise when fields of the request do not go together."""
    check_currency(request.currency)
    method = request.method
    for field, methods in _METHOD_FIELDS.items():
        if getattr(request, field) is not UNSET and method not in methods:
            raise InvalidField(f"{field} is for {' and '.join(methods)} payments", field=field)
    by_mandate = not (request.mandate_id is UNSET and request.mandate_token is UNSET)
    if method == "seamless" and not by_mandate:
        raise InvalidField("a seamless payment needs a mandate", field="mandate_id")
    if method == "authorized":
        for source in given(request.funding, ()):
            if source_tag(source) not in _HOLDABLE:
                raise InvalidField(
                    f"a source of the type {source_tag(source)!r} cannot be held", field="funding"
                )


async def find_authority(desk: PaymentDesk, request: CreatePayment, case: Case) -> Authority:
    """Return the right to take what a request asks for; raise when there is none."""
    method, now = request.method, case.now
    if request.payer is not UNSET and request.funding is not UNSET:
        raise InvalidField("give either payer or funding, not both", field="payer")
    if request.payer is not UNSET:
        await desk.profiles.owned(request.payer, case.app, "payer")
    code = None
    if request.qr is not UNSET:
        code = use_code(
            await find_code(desk.store, request.qr.code_id),
            method=method,
            payee=request.payee,
            amount_minor=request.amount_minor,
            factors=factors_of(request),
            rules=desk.rules.current(QR_RULES.name),
            now=now,
        )
    elif method in ("qr_static", "qr_dynamic"):
        rules = desk.rules.current(QR_RULES.name)
        qr_class = rules.class_of(factors_of(request), static=method == "qr_static")
        code = QrUse(code_id="", qr_class=qr_class)
    used = steps(code.step) if code is not None and code.step is not None else Part()
    if not (request.mandate_id is UNSET and request.mandate_token is UNSET):
        record = await find_mandate(
            desk.store, case.app, given(request.mandate_id, None),
            given(request.mandate_token, None),
        )  # fmt: skip
        if code is not None and code.payer:
            raise InvalidField("pay by a mandate or by the payer's code, not both", field="qr")
        use = use_mandate(record, request.payee, request.amount_minor, now)
        return Authority(
            funding=_only(request, use.account_id, "mandate"),
            app=case.app,
            part=merge(use.part, used),
            reserved=use.reserved,
            mandate_id=use.mandate_id,
            code=code,
        )
    if code is not None and code.payer:
        funding = _only(request, code.payer, "code")
        return Authority(funding=funding, app=code.payer_app, part=used, code=code)
    return Authority(funding=_funding(request), app=case.app, part=used, code=code)


def _funding(request: CreatePayment) -> tuple[FundingSource, ...]:
    if request.payer is not UNSET:
        return (AccountSource(account_id=request.payer),)
    if request.funding is not UNSET:
        return request.funding
    raise InvalidField("who pays: give payer or funding", field="payer")


def _only(request: CreatePayment, account_id: str, by: str) -> tuple[FundingSource, ...]:
    """Return the account that pays; the request may name it, and no other."""
    if request.payer is UNSET and request.funding is UNSET:
        return (AccountSource(account_id=account_id),)
    named = _funding(request)
    if any(not isinstance(one, AccountSource) or one.account_id != account_id for one in named):
        field = "payer" if request.payer is not UNSET else "funding"
        raise InvalidField(f"the {by} is for one account, and no other source may pay", field=field)
    return named


def factors_of(request: CreatePayment) -> tuple[str, ...]:
    """Return by what the payer was verified."""
    verification = given(request.verification, None)
    return () if verification is None else tuple(verification.factors)
