"""The end of the day as public reads tell it: operators' statements and cars' arrears."""

from collections.abc import Iterator

import anyio
import msgspec

from zhihui.demo.day import Day
from zhihui.demo.driver import IN_FLIGHT, DayDriver

__all__ = ("Books", "LotBooks", "read_books")

# Entries of a page of a statement; the largest that the service gives.
_PAGE = 500


class LotBooks(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator's account says: its balance, and how many entries its statement has."""

    balance_minor: int
    entries: int


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """Operators by lot, and what each car owes, without those that owe nothing."""

    lots: dict[str, LotBooks]
    arrears: dict[str, int]


async def read_books(driver: DayDriver, day: Day) -> Books:
    """Read the books through the public interface, with the client that drove the day."""
    lots = {
        lot: await _lot_books(driver, driver.account_ids.get(totals.account, "unknown"))
        for lot, totals in day.manifest.lots.items()
    }
    # Every car that was bound is asked, so that one that should owe nothing and does is seen.
    bound = [line.lane for line in day.setup if line.subject_tail == "parking.bind"]
    plates = iter(dict.fromkeys([*bound, *day.manifest.arrears]))
    arrears: dict[str, int] = {}
    async with anyio.create_task_group() as group:
        for _ in range(IN_FLIGHT):
            group.start_soon(_read_arrears, driver, plates, arrears)
    return Books(lots=lots, arrears=arrears)


async def _lot_books(driver: DayDriver, account_id: str) -> LotBooks:
    account = {"account_id": account_id}
    entries = 0
    after: int | None = 0
    while after is not None:
        page = await driver.ask("account.statement", {**account, "after": after, "limit": _PAGE})
        entries += len(page.get("entries", ()))
        after = page.get("next_after")
    balance = (await driver.ask("account.get", account)).get("posted_minor", -1)
    return LotBooks(balance_minor=balance, entries=entries)


async def _read_arrears(driver: DayDriver, plates: Iterator[str], arrears: dict[str, int]) -> None:
    for plate in plates:
        owed = (await driver.ask("parking.get", {"plate": plate})).get("arrears_minor", 0)
        if owed:
            arrears[plate] = owed
