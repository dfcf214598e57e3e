"""The city in the demo: played through the public interface, and compared with its manifest."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import anyio
from rich.console import Console

from schemas.subjects import OPERATOR_APP
from zhihui.client import Client
from zhihui.demo.city.bundle import City
from zhihui.demo.city.play import Act, play_city
from zhihui.demo.city.simulator import RunningChannels
from zhihui.demo.days.date import FOLLOW_S
from zhihui.demo.days.manifest import Figures
from zhihui.demo.days.result import DayResult, summed_up
from zhihui.demo.driver import DayDriver, PublicClient
from zhihui.demo.reconcile import reconcile_channels
from zhihui.demo.report import print_figures, print_outcomes, print_speed
from zhihui.embedded.platform import Platform
from zhihui.sandbox import move_clock

__all__ = ("run_city",)

# What happens by itself (timers, channels) is waited for this long.
_GIVE_UP_S = 60.0


class _Everybody:
    """One client for each app; a message goes by that of its subject."""

    def __init__(self, clients: dict[str, Client]) -> None:
        self._clients = clients

    async def request_raw(self, subject: str, payload: bytes, *, timeout_s: float) -> bytes:
        """Send bytes once and return the bytes of the reply."""
        client = self._clients[subject.split(".")[2]]
        return await client.request_raw(subject, payload, timeout_s=timeout_s)


class _Acts:
    """What happens to the city and is no message."""

    def __init__(
        self, platform: Platform, channels: RunningChannels, office: Client, console: Console
    ) -> None:
        self._platform = platform
        self._channels = channels
        self._office = office
        self._console = console
        self.agree = True

    def by_name(self) -> dict[str, Act]:
        """Return them as the story names them."""
        return {"advance": self._advance, "outage": self._outage, "reconcile": self._reconcile}

    async def _advance(self, body: dict[str, Any]) -> None:
        ahead = await move_clock(self._office, timedelta(days=body["days"]))
        self._console.print(f"It is {ahead.days} days later.", highlight=False)
        await anyio.sleep(FOLLOW_S)

    async def _outage(self, body: dict[str, Any]) -> None:
        await self._channels.set_outage(body["channel"], body["kind"])
        state = f"is down ({body['kind']})" if body["kind"] else "is back"
        self._console.print(f"The channel {body['channel']} {state}.", highlight=False)

    async def _reconcile(self, body: dict[str, Any]) -> None:
        del body
        clean = await reconcile_channels(self._console, self._platform, self._channels)
        self.agree = self.agree and clean


async def run_city(
    console: Console,
    platform: Platform,
    channels: RunningChannels,
    city: City,
    app: str,
    *,
    say: Callable[[str], None],
) -> DayResult:
    """Play the story as ``app``, and print and return what came of it."""
    url, manifest = platform.servers.nats_url, city.manifest
    async with Client(app=app, url=url) as people, Client(app=OPERATOR_APP, url=url) as office:
        everybody: PublicClient = _Everybody({app: people, OPERATOR_APP: office})
        driver = DayDriver(everybody, app=app, give_up_s=_GIVE_UP_S)
        acts = _Acts(platform, channels, office, console)
        lines = [line.renamed(manifest.app, app) for line in city.lines]
        tallies = await play_city(
            driver, manifest.phases, lines, acts.by_name(), lambda phase, count: _tell(
                say, phase, count
            ),
        )  # fmt: skip
        balances = {name: await _posted(driver, name) for name in manifest.balances}
    expected: Figures = {"balances": dict(manifest.balances)}
    found: Figures = {"balances": balances}
    same_outcomes = print_outcomes(console, "city", manifest, tallies)
    same_balances = print_figures(console, expected, found)
    print_speed(console, tallies)
    agree = same_outcomes and same_balances and acts.agree
    return summed_up("city", tallies, expected, found, agree=agree)


def _tell(say: Callable[[str], None], phase: str, count: int) -> None:
    if not phase.startswith("@"):
        say(f"{phase}: {count:,} messages")


async def _posted(driver: DayDriver, name: str) -> int | None:
    account_id = driver.account_ids.get(name)
    if account_id is None:
        kept = driver.kept.get(name[1:].partition(".")[0], {})
        account_id = str(kept.get("account_id", "unknown"))
    answer = await driver.ask("account.get", {"account_id": account_id})
    posted: int | None = answer.get("posted_minor")
    return posted
