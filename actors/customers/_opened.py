"""What an approved case comes to: an account with its limits, or a bound card."""

from actors.customers._flow import NOTHING_MORE, moved
from actors.customers.parties import bound_source
from actors.customers.policy import OpeningPolicy
from actors.customers.records import (
    BOUND_CARD_TABLE,
    CUSTOMER_TABLE,
    BoundCardState,
    CaseState,
    CustomerState,
)
from actors.entity import Case, Part, Plan, Record, RecordChange
from actors.regulation.account_classes import AccountClasses, class_of
from schemas.accounts import AccountOpened
from schemas.change import Fact
from schemas.customers import AccountBound
from schemas.ledger import Moves, NewAccount
from schemas.money import CNY
from schemas.subjects import PLATFORM_APP

__all__ = ("bound_plan", "opened_company", "opened_person")


def opened_person(
    case: Case,
    state: CaseState,
    policy: OpeningPolicy,
    classes: AccountClasses,
    part: Part = NOTHING_MORE,
) -> tuple[Plan, ...]:
    """Return the plans of a case whose customer was found to be who he says.

    The first opens the account, its limits and the mirror of its card. The ledger counts it in the
    same commit; when the customer has as many as he may, the second rejects the case.
    """
    account_class = class_of(state.account_class)
    account_id = case.ids.new("acct")
    source = bound_source(account_id)
    new = classes.new_account(account_class, account_id, case.owner, CNY, source)
    row = (
        account_id, case.owner, state.holder, "customer", CNY, new.floor_minor, new.ceiling_minor,
        "open", case.now, state.customer_id, account_class,
    )  # fmt: skip
    mirror = (
        source, PLATFORM_APP, source, "external", CNY, None, None, "open", case.now, "", "",
    )  # fmt: skip
    opened = Part(
        moves=Moves(
            open=(new, NewAccount(source, PLATFORM_APP, CNY, None, None)),
            steps=(classes.opening(account_class, state.party_id),),
        ),
        facts=(Fact("account", row), Fact("account", mirror)),
        events=(case.tell("account.opened", account_id, _told(case, state, account_id)),),
        also=(_binding(case, state, account_id, 0),),
    )
    too_many = (*state.reasons, "account_count")
    return (
        moved(case, state, "opened", policy, part=opened, account_id=account_id).plus(part),
        moved(case, state, "rejected", policy, reasons=too_many).plus(part),
    )


def opened_company(
    case: Case,
    state: CaseState,
    policy: OpeningPolicy,
    customer: Record[CustomerState] | None,
    part: Part = NOTHING_MORE,
) -> tuple[Plan, ...]:
    """Return the plan that opens a company's account, which makes it a customer of the app.

    A company that is one already is kept up to date: its representative is the one of this case.
    """
    account_id = case.ids.new("acct")
    row = (
        account_id, case.owner, state.holder, "corporate", CNY, 0, None, "open", case.now,
        state.customer_id, "",
    )  # fmt: skip
    now = CustomerState(
        kind="company",
        party_id=state.party_id,
        name=state.holder,
        id_number=state.credit_code,
        phone=state.phone,
        sealed_owner=case.key,
        name_lookup="",
        phone_lookup=state.phone_lookup,
        phone_version=1,
        registered_at=case.now if customer is None else customer.state.registered_at,
    )
    version = 0 if customer is None else customer.version
    opened = Part(
        moves=Moves(open=(NewAccount(account_id, case.owner, CNY, 0, None),)),
        facts=(Fact("account", row),),
        events=(case.tell("account.opened", account_id, _told(case, state, account_id)),),
        also=(RecordChange(CUSTOMER_TABLE, state.customer_id, version, case.owner, now),),
    )
    plan = moved(case, state, "opened", policy, part=opened, account_id=account_id)
    return (plan.plus(part),)


def _told(case: Case, state: CaseState, account_id: str) -> AccountOpened:
    return AccountOpened(
        account_id=account_id,
        holder=state.holder,
        type="corporate" if state.kind == "corporate" else "customer",
        currency=CNY,
        status="open",
        opened_at=case.now,
    )


def _binding(case: Case, state: CaseState, account_id: str, version: int) -> RecordChange:
    bound = BoundCardState(
        case_id=case.key,
        customer_id=state.customer_id,
        source=bound_source(account_id),
        card=state.card,
        card_lookup=state.card_lookup,
        card_kind=state.card_kind,
        bank=state.bank,
        bound_at=case.now,
    )
    return RecordChange(BOUND_CARD_TABLE, account_id, version, case.owner, bound)


def bound_plan(
    case: Case, state: CaseState, policy: OpeningPolicy, before: Record[BoundCardState] | None
) -> Plan:
    """Return the plan that binds an account to the card of the case, in the place of another.

    The mirror stays what it is, so the ledger has nothing to do.
    """
    told = AccountBound(
        account_id=state.account_id,
        customer_id=state.customer_id,
        source=bound_source(state.account_id),
        card=state.card,
        card_kind=state.card_kind,
        bank=state.bank,
        bound_at=case.now,
    )
    part = Part(
        events=(case.tell("account.bound", state.account_id, told),),
        also=(_binding(case, state, state.account_id, 0 if before is None else before.version),),
    )
    return moved(case, state, "bound", policy, part=part)
