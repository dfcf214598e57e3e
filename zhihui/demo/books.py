"""The end of a day as public reads tell it: accounts, their statements, and who owes what."""

from collections.abc import Awaitable, Callable, Iterable

import anyio
import msgspec

from zhihui.demo.day import Day
from zhihui.demo.days.manifest import AccountEnd, Debts, Figures
from zhihui.demo.driver import IN_FLIGHT, DayDriver

__all__ = ("read_books",)

# Entries of a page of a statement; the largest that the service gives.
_PAGE = 500


async def read_books(driver: DayDriver, day: Day) -> Figures:
    """Read through the client that drove the day what its manifest has figures of.

    An account that is not there has None.
    """
    manifest = day.manifest
    figures: Figures = {what: {} for what in manifest.figures()}
    jobs = [_account_job(driver, figures, *one) for one in manifest.accounts.items()]
    if manifest.debts is not None:
        debtors = _debtors(day, manifest.debts)
        jobs += [_debt_job(driver, figures, manifest.debts, one) for one in debtors]
    waiting = iter(jobs)

    async def work() -> None:
        for job in waiting:
            await job()

    async with anyio.create_task_group() as group:
        for _ in range(min(IN_FLIGHT, len(jobs))):
            group.start_soon(work)
    return figures


def _account_job(
    driver: DayDriver, figures: Figures, name: str, end: AccountEnd
) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        account = {"account_id": driver.account_ids.get(name, "unknown")}
        found = await driver.ask("account.get", account)
        figures["balances"][name] = found.get("posted_minor")
        figures["amounts held"][name] = found.get("held_minor", 0) if found else None
        if end.entries is not None:
            figures["statements"][name] = await _entries(driver, account)

    return read


async def _entries(driver: DayDriver, account: dict[str, str]) -> int:
    entries = 0
    after: int | None = 0
    while after is not None:
        page = await driver.ask("account.statement", {**account, "after": after, "limit": _PAGE})
        entries += len(page.get("entries", ()))
        after = page.get("next_after")
    return entries


def _debtors(day: Day, debts: Debts) -> Iterable[str]:
    """Return all who may owe, whoever they are."""
    bodies = (
        msgspec.json.decode(bytes(line.body))
        for line in day.lines
        if line.subject_tail == debts.made_by and line.raw_hex is None
    )
    return dict.fromkeys([*(str(body[debts.key]) for body in bodies), *debts.owed])


def _debt_job(
    driver: DayDriver, figures: Figures, debts: Debts, debtor: str
) -> Callable[[], Awaitable[None]]:
    async def read() -> None:
        owed = (await driver.ask(debts.operation, {debts.key: debtor})).get(debts.field, 0)
        if owed:
            figures["debts"][debtor] = owed

    return read
