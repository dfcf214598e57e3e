"""The whole story of the city, in the order in which it happens."""

from zhihui.demo.city.bundle import write_city
from zhihui.demo.city.channels import pay_over_channels
from zhihui.demo.city.market import MERCHANTS, confirm_by_itself, open_shops, pay_by_all_methods
from zhihui.demo.city.people import open_accounts
from zhihui.demo.city.products import (
    buy_units,
    offer_products,
    pay_with_products,
    see_plans_paid,
)
from zhihui.demo.city.script import Script

__all__ = ("SEED", "tell_story")

SEED = 20261125


def tell_story(seed: int = SEED) -> Script:
    """Return the story as a script."""
    script = Script(seed)
    open_accounts(script)
    open_shops(script)
    offer_products(script)
    buy_units(script)
    pay_by_all_methods(script)
    pay_over_channels(script)
    # Past any holiday, so that what was bought is confirmed and what was kept is let go.
    script.act("advance", days=12)
    confirm_by_itself(script)
    pay_with_products(script)
    _settle(script)
    see_plans_paid(script)
    return script


def _settle(script: Script) -> None:
    script.begin("Merchants are settled")
    water = MERCHANTS[2]
    script.ask("settlement.run", water.name, keeps="settlement", merchant_id=water.account)
    script.act("advance", days=4)
    script.begin("What was due is paid out")
    for shop in MERCHANTS:
        script.moved(shop.name, f"{shop.name}-bank", script.money[shop.name])
        script.ask("account.get", shop.name, until=True, account_id=shop.account,
                   result={"posted_minor": 0})  # fmt: skip


if __name__ == "__main__":
    write_city(tell_story())
