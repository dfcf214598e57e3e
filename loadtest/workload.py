"""Who pays whom, and how much: the seeded population behind every measurement."""

import random
from bisect import bisect
from itertools import accumulate

import msgspec

__all__ = (
    "AMOUNT_MINOR_MAX",
    "APP",
    "OPENING_MINOR",
    "Draw",
    "Population",
    "draw_payments",
    "payee_id",
    "payer_id",
)

APP = "bench"

# A coffee, not a car: small amounts keep the hottest payer solvent for hours.
AMOUNT_MINOR_MAX = 500

# What every payer starts with. Under Zipf 1.0 the first of 100,000 makes 8 % of all payments, at
# 250 fen on average: it could pay for 50 million payments of the whole population.
OPENING_MINOR = 1_000_000_000


class Population(msgspec.Struct, frozen=True, kw_only=True):
    """How many accounts there are, and how unevenly the payers pay (0 is uniform)."""

    payers: int = 100_000
    payees: int = 200
    zipf: float = 1.0


class Draw(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One payment to make."""

    payer: str
    payee: str
    amount_minor: int


def payer_id(number: int) -> str:
    """Return the account of payer ``number``, counted from 1. `seed.sql` builds the same."""
    return f"acct_payer{number:015d}"


def payee_id(number: int) -> str:
    """Return the account of payee ``number``, counted from 1."""
    return f"acct_payee{number:015d}"


def draw_payments(population: Population, count: int, seed: int) -> list[Draw]:
    """Draw ``count`` payments: payers by Zipf's law, payees and amounts evenly."""
    rng = random.Random(seed)
    ranks = range(1, population.payers + 1)
    cumulated = list(accumulate(1 / rank**population.zipf for rank in ranks))
    total = cumulated[-1]
    return [
        Draw(
            payer_id(bisect(cumulated, rng.random() * total, 0, population.payers - 1) + 1),
            payee_id(rng.randrange(population.payees) + 1),
            rng.randint(1, AMOUNT_MINOR_MAX),
        )
        for _ in range(count)
    ]
