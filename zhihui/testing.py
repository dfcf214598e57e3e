"""What the tests of a scenario pack use: the simulated platform, and how a story becomes a test.

A test stands in the folder ``tests`` of the pack, and runs by ``zhihui plugin test`` or by pytest::

    @scenario
    async def test_a_locker_is_rented(platform: Platform) -> None:
        rider = await platform.open_account(1_000)
        rented = await platform.call("rent", locker_id="A1", account_id=rider, hours=3)
        await platform.advance(hours=3)
        assert platform.balance(rider) == 1_000 - rented["paid_minor"]
"""

from zhihui.author.platform import PackBroken, Platform, PublishedNews, Refused
from zhihui.author.scenario import scenario

__all__ = ("PackBroken", "Platform", "PublishedNews", "Refused", "scenario")
