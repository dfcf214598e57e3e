"""What a customer may pay by payment codes in a day, by how well the payment is protected."""

from collections.abc import Collection
from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from actors.regulation.calendar import day_of
from schemas.ledger import TallyStep

__all__ = ("QR_LIMITS", "QrClass", "QrLimits")

QrClass = Literal["A", "B", "C", "D"]

_CERTIFICATE = "certificate"

_Minor = Annotated[int, Meta(ge=0, description="Fen of one day.")]


class QrLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The daily totals of one customer and one account, for each class of risk prevention.

    Source: PBoC, norms for bar code payment (条码支付业务规范(试行), 银发〔2017〕296, in force
    since 1 April 2018), articles 12 and 13:

    - A, verified with a digital certificate or an electronic signature (two kinds of factors or
      more): as agreed with the customer; null is no limit beside that;
    - B, two kinds of factors or more, without either: ¥5,000;
    - C, fewer than two kinds of factors: ¥1,000;
    - D, a static code: ¥500, whatever the customer was verified by.

    Each class has a total of its own. A day is one of Asia/Shanghai.
    """

    a_minor: _Minor | None = None
    b_minor: _Minor = 500_000
    c_minor: _Minor = 100_000
    d_minor: _Minor = 50_000

    def class_of(self, factors: Collection[str], *, static: bool) -> QrClass:
        """Return the class of a payment whose payer was verified by these factors."""
        if static:
            return "D"
        kinds = set(factors)
        if _CERTIFICATE in kinds:
            return "A"
        return "B" if len(kinds) >= 2 else "C"

    def most_minor(self, qr_class: QrClass) -> int | None:
        """Return the daily total of a class; None is no limit."""
        return {"A": self.a_minor, "B": self.b_minor, "C": self.c_minor, "D": self.d_minor}[
            qr_class
        ]

    def step(
        self, qr_class: QrClass, customer_id: str, account_id: str, amount_minor: int, at: datetime
    ) -> TallyStep:
        """Return the step that counts a payment in the same change as its money.

        ``customer_id`` is empty where nobody knows the customer; the account then stands for both.
        """
        most = self.most_minor(qr_class)
        return TallyStep(
            f"qr:{qr_class}:{customer_id}:{account_id}:{day_of(at).isoformat()}",
            amount_minor=amount_minor,
            amount_max=most,
            message=(
                f"payments by code of class {qr_class} are limited to {most} minor units for one"
                " customer, account and day"
            ),
            field="amount_minor",
            name="",
        )


QR_LIMITS = QrLimits()
