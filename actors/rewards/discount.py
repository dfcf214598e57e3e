"""What a coupon takes off a purchase."""

from schemas.errors import InvalidField
from schemas.rewards import PPM, Discount

__all__ = ("check_discount", "discount_on")


def check_discount(discount: Discount) -> None:
    """Raise :class:`~schemas.errors.InvalidField` unless it says what it takes off."""
    if (discount.face_minor is None) == (discount.rate_ppm is None):
        raise InvalidField("give either face_minor or rate_ppm", field="discount.face_minor")
    if (discount.rate_ppm is None) != (discount.cap_minor is None):
        raise InvalidField(
            "a percentage needs a cap_minor, and a face value has none",
            field="discount.cap_minor",
        )


def discount_on(discount: Discount, spent_minor: int) -> int:
    """Return what is taken off a purchase of ``spent_minor`` fen; 0 below the minimum.

    A percentage is rounded down to fen, in favour of whoever pays for the coupon. Never more than
    the purchase itself.
    """
    if spent_minor < discount.spend_min_minor:
        return 0
    if discount.face_minor is not None:
        return min(discount.face_minor, spent_minor)
    assert discount.rate_ppm is not None
    assert discount.cap_minor is not None
    return min(spent_minor * discount.rate_ppm // PPM, discount.cap_minor, spent_minor)
