"""Instalment plans of the model, on the day on which they were made."""

from zhihui.simulation.model.books import demand

__all__ = ("Plan",)

_MILLION = 1_000_000
# Terms → the fee of each term, in parts per million of the principal, by the rules at first.
_FEE_PPM = {3: 6_500, 6: 6_200}


class Plan:
    """Equal parts of the principal; the last one takes what does not divide."""

    def __init__(self, principal: int, terms: int) -> None:
        part = principal // terms
        self.terms = [part] * (terms - 1) + [principal - part * (terms - 1)]
        self.rate = _FEE_PPM[terms]
        # Rounded half up, once; the parts of the terms are cut off, the last one takes the rest.
        whole = (2 * principal * self.rate * terms + _MILLION) // (2 * _MILLION)
        self.fee = whole // terms
        self.principal = principal
        self.refunded = 0
        self.status = "active"

    @property
    def left(self) -> int:
        """What the customer still has to repay."""
        return sum(self.terms)

    def refund(self, amount: int) -> int:
        """Take a refund from the last term backwards; return what had been repaid already."""
        self.refunded += amount
        self.fee = min(self.fee, (self.principal - self.refunded) * self.rate // _MILLION)
        rest = amount
        while rest and self.left:
            last = len(self.terms) - 1
            taken = min(rest, self.terms[last])
            self.terms[last] -= taken
            rest -= taken
            if not self.terms[last]:
                self.terms.pop()
        if self.status == "active" and not self.left:
            self.status = "refunded"
        return rest

    def settle(self, total: int) -> tuple[int, int]:
        """End the plan before its first term is due; return the principal and the fee it costs."""
        demand(self.status == "active", "invalid_state")
        demand(total == self.left + self.fee, "invalid_state")
        paid = (self.left, self.fee)
        self.terms = []
        self.status = "settled"
        return paid
