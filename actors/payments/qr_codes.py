"""Payment codes (收付款码): static, dynamic, and the one that the customer shows.

A code that is for one payment is used up in the same change as the money of that payment.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import ClassVar, Literal

import msgspec

from actors.entity import Case, EntityActor, Plan, Record, RecordTable, decides, reads
from actors.payments.profiles import Profiles
from actors.regulation.qr_limits import QR_LIMITS, QrClass, QrLimits
from actors.rules import RuleSet
from kernel.store import Query, Store, Where
from schemas.errors import Ineligible, InvalidField, InvalidState, NotFound
from schemas.ledger import TallyStep
from schemas.mandates import QR_S, CreateQrCode, GetQrCode, QrCode

__all__ = (
    "QR_RULES",
    "QR_TABLE",
    "QrActor",
    "QrState",
    "QrUse",
    "find_code",
    "use_code",
)

# Rules of the limits, which the back office may change.
QR_RULES = RuleSet(name="qr_limits", shape=QrLimits, default=QR_LIMITS)

_CONTENT = "zhihui:pay:"
# Whoever knows a customer's code can charge its account once, so it must not be guessed.
_SECRET_BITS = 96


class QrState(msgspec.Struct, frozen=True, kw_only=True):
    """A code as it is kept; see :class:`~schemas.mandates.QrCode`."""

    type: Literal["static", "dynamic", "customer"]
    account_id: str
    amount_minor: int | None
    description: str
    created_at: datetime
    expires_at: datetime | None


QR_TABLE: RecordTable[QrState] = RecordTable(name="qr_code", key="code_id", state=QrState)


def _tally(code_id: str) -> str:
    return f"qr_code:{code_id}"


class QrActor(EntityActor):
    """One payment code."""

    kind = "qr"
    table: ClassVar = QR_TABLE

    def may_see(self, record: Record[QrState], app: str) -> bool:
        """Whoever scanned a code has to know what it asks for."""
        return True

    @decides("qr.create", CreateQrCode)
    async def create(self, request: CreateQrCode, case: Case) -> Plan:
        """Make a code for an account of the app."""
        await Profiles(case.store).owned(request.account_id, case.app, "account_id")
        if request.type == "dynamic" and request.amount_minor is None:
            raise InvalidField("a dynamic code is for an amount", field="amount_minor")
        if request.type == "static" and request.expires_in_s is not None:
            raise InvalidField("a static code does not expire", field="expires_in_s")
        if request.type == "static" and request.amount_minor is not None:
            raise InvalidField("the payer of a static code says the amount", field="amount_minor")
        expires_at = None
        if request.type != "static":
            expires_at = case.now + timedelta(seconds=request.expires_in_s or QR_S)
        code_id = f"qr_{self.parts.randomness.bits(_SECRET_BITS):024x}"
        state = QrState(
            type=request.type,
            account_id=request.account_id,
            amount_minor=request.amount_minor,
            description=request.description,
            created_at=case.now,
            expires_at=expires_at,
        )
        answer = _public(code_id, state)
        return Plan(answer=answer, key=code_id, state=state)

    @reads("qr.get", GetQrCode)
    async def get(self, request: GetQrCode, case: Case) -> QrCode:
        """Return a code; the account behind a customer's code is that app's business."""
        state = case.state(QrState, "code", "code_id")
        code = _public(case.key, state, used=await _was_used(case.store, case.key))
        if state.type == "customer" and not case.sees(case.owner):
            code = msgspec.structs.replace(code, account_id=None)
        return code


def _public(code_id: str, state: QrState, *, used: bool = False) -> QrCode:
    return QrCode(
        code_id=code_id, content=f"{_CONTENT}{code_id}", **msgspec.structs.asdict(state), used=used
    )


async def _was_used(store: Store, code_id: str) -> bool:
    rows = await store.fetch(
        Query(
            table="tally",
            columns=("count",),
            where=(Where("tally_id", "=", _tally(code_id)),),
        )
    )
    return bool(rows and rows[0][0])


class QrUse(msgspec.Struct, frozen=True, kw_only=True):
    """One payment by a code.

    ``payer`` is the account that a customer's code charges, and ``payer_app`` the app that it
    belongs to; both are empty for a code of the payee's. ``step`` uses the code up.
    """

    code_id: str
    qr_class: QrClass
    payer: str = ""
    payer_app: str = ""
    step: TallyStep | None = None


async def find_code(store: Store, code_id: str) -> Record[QrState]:
    """Return a code of any app."""
    record = await QR_TABLE.load(store, code_id)
    if record is None:
        raise NotFound(f"code {code_id!r} does not exist", field="qr")
    return record


def use_code(
    record: Record[QrState],
    *,
    method: str,
    payee: str,
    amount_minor: int,
    factors: Collection[str],
    rules: QrLimits,
    now: datetime,
) -> QrUse:
    """Return what a payment makes of a code; raise when the code is not for this payment."""
    code_id, state = record.key, record.state
    static = state.type == "static"
    if static != (method == "qr_static"):
        raise Ineligible(f"code {code_id!r} is {state.type}, not for {method}", field="method")
    if state.expires_at is not None and now >= state.expires_at:
        raise InvalidState(
            f"code {code_id!r} expired at {state.expires_at.isoformat()}", field="qr"
        )
    if state.type != "customer" and payee != state.account_id:
        raise Ineligible(f"code {code_id!r} is for another payee", field="payee")
    if state.type == "dynamic" and amount_minor != state.amount_minor:
        raise Ineligible(
            f"code {code_id!r} is for {state.amount_minor} minor units", field="amount_minor"
        )
    if state.type == "customer" and amount_minor > (state.amount_minor or amount_minor):
        raise Ineligible(
            f"code {code_id!r} is for {state.amount_minor} minor units at the most",
            field="amount_minor",
        )
    once = TallyStep(
        _tally(code_id), count_max=1, code="invalid_state", field="qr", name="",
        message=f"code {code_id!r} was used already",
    )  # fmt: skip
    customers = state.type == "customer"
    return QrUse(
        code_id=code_id,
        qr_class=rules.class_of(factors, static=static),
        payer=state.account_id if customers else "",
        payer_app=record.app if customers else "",
        step=None if static else once,
    )
