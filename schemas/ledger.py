"""What a change asks of the ledger: accounts to open and postings to make."""

import msgspec

__all__ = ("Moves", "NewAccount", "Posting", "encode_moves")

_encoder = msgspec.msgpack.Encoder()


class NewAccount(msgspec.Struct, array_like=True, frozen=True):
    """An account to open, with a balance of zero.

    ``floor_minor`` and ``ceiling_minor`` bound its balance (minor units); None is no bound.
    """

    account_id: str
    app: str
    asset: str
    floor_minor: int | None
    ceiling_minor: int | None


class Posting(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Move ``amount_minor`` (minor units, positive) from the debited to the credited account.

    ``owner`` is the app that must own the debited account; empty when the platform itself debits.
    An app's posting never reaches an account of the platform. ``credit_owner`` is the app that must
    own the credited account; empty when anybody may. ``fields`` are what the request calls the two
    accounts, for errors.
    """

    debit: str
    credit: str
    amount_minor: int
    asset: str
    owner: str = ""
    credit_owner: str = ""
    fields: tuple[str, str] = ("payer", "payee")


class Moves(msgspec.Struct, array_like=True, frozen=True):
    """All that one alternative of a change asks of the ledger; all or nothing."""

    open: tuple[NewAccount, ...] = ()
    postings: tuple[Posting, ...] = ()


def encode_moves(moves: Moves) -> msgspec.Raw:
    """Return the moves in the form that a change carries."""
    return msgspec.Raw(_encoder.encode(moves))
