"""From what the scale shows to what a deal costs: weights in grams, prices in fen.

The rule, in the order in which it is applied. Each step works on the deal as a whole, never line by
line, so a load that is weighed in ten parts costs what it costs weighed at once:

1. Net is gross less tare, over all lines of the deal.
2. What is taken off for moisture, mud and outer leaves (扣水扣杂) is the net times ``loss_ppm``,
   rounded half up to a gram. The rest is payable.
3. The amount is the payable weight times the price of a kilogram or of a jin (市斤, 500 g), rounded
   half up to a fen.
4. A market may drop the small change (抹零): the amount is then cut down to a whole jiao or yuan.
"""

from typing import Annotated, Literal

from msgspec import Meta

__all__ = (
    "GRAMS",
    "LOSS_PPM_MAX",
    "PPM",
    "PRICE_MINOR_MAX",
    "WEIGHT_G_MAX",
    "Grams",
    "LossPpm",
    "PriceMinor",
    "Unit",
    "WipeMinor",
    "amount_minor",
    "freight_minor",
    "half_up",
    "payable_g",
)

PPM = 1_000_000

Unit = Literal["kg", "jin"]

GRAMS: dict[Unit, int] = {"kg": 1_000, "jin": 500}

# A road train on the weighbridge has 49 t; with one scale it is the most that a line can show.
WEIGHT_G_MAX = 100_000_000
# Ten thousand yuan a kilogram is above saffron and truffles, let alone cabbage.
PRICE_MINOR_MAX = 1_000_000
# Half of the load: goods that lose more are refused, not discounted.
LOSS_PPM_MAX = 500_000

Grams = Annotated[int, Meta(ge=0, le=WEIGHT_G_MAX, description="Weight in grams.")]
LossPpm = Annotated[int, Meta(ge=0, le=LOSS_PPM_MAX)]
PriceMinor = Annotated[int, Meta(ge=1, le=PRICE_MINOR_MAX, description="Fen for one unit.")]

# Small change that is dropped: none, below a jiao, below a yuan.
WipeMinor = Literal[1, 10, 100]


def half_up(numerator: int, denominator: int) -> int:
    """Return the quotient of two integers rounded half up; neither may be negative."""
    if numerator < 0 or denominator <= 0:
        raise ValueError(f"{numerator}/{denominator} is no quotient of a weight or an amount")
    return (2 * numerator + denominator) // (2 * denominator)


def payable_g(net_g: int, loss_ppm: int) -> int:
    """Return what is paid of a net weight, in grams: the loss is rounded half up to a gram."""
    return net_g - half_up(net_g * loss_ppm, PPM)


def amount_minor(payable: int, price_minor: int, unit: Unit, wipe_minor: int) -> int:
    """Return the price of ``payable`` grams in fen: half up to a fen, then the change dropped."""
    exact = half_up(payable * price_minor, GRAMS[unit])
    return exact - exact % wipe_minor


def freight_minor(net_g: int, per_kg_minor: int) -> int:
    """Return what the carrier gets for ``net_g`` grams in fen, half up to a fen.

    It is for what was carried, whatever is taken off for loss.
    """
    return half_up(net_g * per_kg_minor, GRAMS["kg"])
