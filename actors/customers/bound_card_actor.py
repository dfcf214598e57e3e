"""The actor of bound cards: what goes back from an account to its owner's own card."""

from typing import ClassVar

from actors.customers.records import BOUND_CARD_TABLE, BoundCardState
from actors.entity import Case, EntityActor, Plan, Record, decides
from schemas.change import Fact
from schemas.customers import CardWithdrawal, WithdrawToCard
from schemas.ledger import Moves, Posting
from schemas.money import check_currency

__all__ = ("BoundCardActor",)


class BoundCardActor(EntityActor):
    """The card of one account; its key is the account's id."""

    kind = "bound_card"
    table: ClassVar = BOUND_CARD_TABLE

    def may_see(self, record: Record[BoundCardState], app: str) -> bool:
        """Tell whether ``app`` may move the money: its own app alone, not the back office."""
        return app == record.app

    @decides("account.withdraw", WithdrawToCard)
    async def withdraw(self, request: WithdrawToCard, case: Case) -> Plan:
        """Move the money to the mirror of the card, which the ledger counts in no limit."""
        check_currency(request.currency)
        bound = case.state(BoundCardState, "the bound card of account", "account_id")
        withdrawal_id = case.ids.new("wdr")
        answer = CardWithdrawal(
            withdrawal_id=withdrawal_id,
            account_id=case.key,
            target=bound.source,
            card=bound.card,
            amount_minor=request.amount_minor,
            currency=request.currency,
            created_at=case.now,
        )
        # The platform's posting: an app's own never reaches an account of the platform. That the
        # account is the app's is known from the record.
        posting = Posting(
            case.key,
            bound.source,
            request.amount_minor,
            request.currency,
            fields=("account_id", "account_id"),
        )
        row = (
            withdrawal_id, case.app, case.key, bound.source, request.amount_minor,
            request.currency, case.now,
        )  # fmt: skip
        return Plan(
            answer=answer,
            moves=Moves(postings=(posting,)),
            facts=(Fact("card_withdrawal", row),),
            events=(case.tell("withdrawal.succeeded", withdrawal_id, answer),),
        )
