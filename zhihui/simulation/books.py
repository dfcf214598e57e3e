"""What must hold of the books of a simulated world, whatever happened in it."""

from collections import Counter

from zhihui.simulation.world import World

__all__ = ("check_books",)

_Entries = Counter[tuple[int, str, int]]


def check_books(world: World) -> list[str]:
    """Return what is wrong: sums that do not agree, holds that do not, money without a reason."""
    wrong: list[str] = []
    posted = {row["account_id"]: row["posted_minor"] for row in world.rows("balance")}
    held = {row["account_id"]: row["held_minor"] for row in world.rows("balance")}
    sums: Counter[str] = Counter()
    for row in world.rows("entry"):
        sums[row["account_id"]] += row["amount_minor"]
    if total := sum(posted.values()):
        wrong.append(f"all accounts together have {total} minor units, and not 0")
    wrong += [
        f"account {name}: its entries sum to {sums[name]}, its balance is {balance}"
        for name, balance in posted.items()
        if sums[name] != balance
    ]
    left: Counter[str] = Counter()
    for row in world.rows("hold"):
        rest = row["amount_minor"] - row["captured_minor"] - row["released_minor"]
        left[row["account_id"]] += rest
        if rest and row["status"] != "open":
            wrong.append(f"hold {row['hold_id']} is {row['status']} with {rest} left in it")
    wrong += [
        f"account {name}: its holds have {left[name]}, its balance says {amount}"
        for name, amount in held.items()
        if left[name] != amount
    ]
    return wrong
