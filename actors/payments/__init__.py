"""Payments (快e付)."""

from actors.payments.compose import DEPOSIT_TABLE, PAYMENT_TABLE, Composed, compose_payment
from actors.payments.payment_actor import PaymentActor

__all__ = ("DEPOSIT_TABLE", "PAYMENT_TABLE", "Composed", "PaymentActor", "compose_payment")
