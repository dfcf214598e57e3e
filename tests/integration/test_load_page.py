"""The live page and the report, in a real browser, of a real run; and who may ask the page.

The browser is Chromium: the one that ``ZHIHUI_CHROMIUM`` names, or that is found under its usual
names. Without one, the tests that need it are skipped. With ``ZHIHUI_SCREENSHOTS=docs/images`` they
make a longer run and write pictures of it there.
"""

import asyncio
import io
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from rich.console import Console

from loadtest.harness.plan import RunPlan
from loadtest.harness.problems import PlanUnusable
from loadtest.harness.reports.html_report import CHARTS
from loadtest.harness.reports.live_page import LivePage
from loadtest.harness.reports.options import ReportOptions, Reports
from loadtest.harness.reports.prometheus import PrometheusExporter
from loadtest.harness.result import RunResult
from loadtest.harness.runner import run_load
from tests.eventually import eventually
from tests.unit.harness_reports.sample_run import MARKS, sample_result, samples
from tests.unit.harness_reports.steered import Steered

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_CHROMIUM = os.environ.get("ZHIHUI_CHROMIUM") or next(
    (found for name in _NAMES if (found := shutil.which(name))), None
)
_SCREENSHOTS = os.environ.get("ZHIHUI_SCREENSHOTS")
_SCREENSHOT_BYTES_MAX = 200_000
# A picture shows more than a screen.
_HEIGHT = 900 if _SCREENSHOTS is None else 1_600

needs_browser = pytest.mark.skipif(
    _CHROMIUM is None,
    reason="no Chromium is installed; install one, or name one with ZHIHUI_CHROMIUM",
)

# Without these Chromium asks hosts of its maker at every start, and needs a sandbox that a
# container's root does not have.
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

_FASTER = re.compile(r"of (240|320)/s asked for")

# Texts of one chart that lie on each other, as pairs.
_OVERLAPS = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll(".tick, .band-name")].map(
    (text) => [text.textContent, text.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], index) => boxes.slice(index + 1)
    .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
    .map(([other]) => `${one} / ${other}`));
})"""


@asynccontextmanager
async def _browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=_CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


async def _open(browser: Browser, url: str, troubles: list[str]) -> Page:
    page = await browser.new_page(viewport={"width": 1240, "height": _HEIGHT})
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console",
        lambda said: troubles.append(said.text) if said.type in {"error", "warning"} else None,
    )
    await page.goto(url)
    return page


async def _drawn(page: Page) -> dict[str, int]:
    """Return of each chart how many points its longest line has."""
    found: dict[str, int] = await page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll("[data-chart]")].map((host) => [
          host.dataset.chart,
          Math.max(0, ...[...host.querySelectorAll("path.line")].map(
            (line) => line.getAttribute("d").split("L").length)),
        ]))"""
    )
    return found


async def _picture(page: Page, name: str, height: int) -> None:
    if _SCREENSHOTS is None:
        return
    path = Path(_SCREENSHOTS) / name
    await page.evaluate("scrollTo(0, 0)")
    await page.screenshot(path=path, clip={"x": 0, "y": 0, "width": 1240, "height": height})
    assert path.stat().st_size <= _SCREENSHOT_BYTES_MAX, f"{name} is larger than is kept"


async def _steer(page: Page) -> None:
    """Start the run, look at it, change it and stop it, as a person does."""
    await page.wait_for_selector("#start:enabled", timeout=90_000)
    assert "token" not in page.url
    assert await page.inner_text("#state") == "ready to start"
    assert await page.locator("svg >> text=Waiting for the first second").count() == len(CHARTS)
    await page.fill("#rate", "90")
    await page.click("#apply")
    await expect(page.locator("#said")).to_have_text("rate 90.0/s, from the start on")
    await page.click("#start")
    await expect(page.locator("#now")).to_contain_text("of 90/s asked for", timeout=20_000)
    # The page's policy forbids what waits for an expression.
    four = re.compile(r"[4-9]|\d\d+")
    await expect(page.locator("body")).to_have_attribute("data-points", four, timeout=20_000)
    drawn = await _drawn(page)
    assert {name for name, points in drawn.items() if points >= 3} >= {
        "throughput", "times", "lag", "work", "generator",
    }  # fmt: skip
    assert await page.evaluate(_OVERLAPS) == []
    await page.fill("#rate", "240" if _SCREENSHOTS is None else "320")
    await page.fill("#duration", "120")
    await page.click("#apply")
    await expect(page.locator("#said")).to_contain_text("measured part 2:00")
    await expect(page.locator("#now")).to_contain_text(_FASTER, timeout=20_000)
    await expect(page.locator("#names")).to_contain_text("payment.create", timeout=20_000)
    if _SCREENSHOTS is not None:
        await anyio.sleep(40)
    await page.hover("[data-chart=throughput] .plot svg")
    await expect(page.locator("[data-chart=throughput] .tip")).to_contain_text("target")
    await _picture(page, "load-live.png", 1_020)
    await page.click("#stop")
    await page.wait_for_selector("#verdict", timeout=60_000)
    assert "payment.create" in await page.inner_text("#names")


async def _read_report(page: Page, path: Path) -> None:
    """Look at a report without any network, in both colours, and on a narrow screen."""
    await page.goto(path.as_uri())
    drawn = await _drawn(page)
    assert drawn.keys() == {*CHARTS, "curve"}
    assert all(points >= 4 for name, points in drawn.items() if name != "errors")
    assert await page.evaluate(_OVERLAPS) == []
    await page.locator("[data-chart=lag] .plot svg").press("ArrowRight")
    await expect(page.locator("[data-chart=lag] .tip")).to_contain_text("lag p99")
    await page.locator("[data-chart=times] summary").click()
    assert await page.locator("[data-chart=times] tbody tr").count() >= 4
    await page.locator("[data-chart=times] summary").click()
    await page.locator("[data-chart=times] .plot svg").blur()
    await _picture(page, "load-report.png", 1_170)
    light = await page.evaluate("getComputedStyle(document.body).backgroundColor")
    await page.click("#theme")
    assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    await _picture(page, "load-report-dark.png", 1_170)
    await page.set_viewport_size({"width": 380, "height": 800})
    narrow = re.compile(r"^[23]\d\d$")
    await expect(page.locator(".plot svg").first).to_have_attribute("width", narrow)
    assert await page.evaluate("document.documentElement.scrollWidth") <= 380
    assert await page.evaluate(_OVERLAPS) == []


@needs_browser
@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.anyio
async def test_a_run_is_started_changed_stopped_and_read_in_a_browser(tmp_path: Path) -> None:
    """Charts draw what a real run measures, buttons steer it, and its report needs no network."""
    report = tmp_path / "report.html"
    plan = RunPlan(
        scenario="payments",
        arrivals="60",
        poisson=True,
        duration_s=60.0,
        warmup_s=2.0,
        thresholds=("p99<5s",),
        settings={"payers": "20", "payees": "3"},
        wait_for_start=True,
    )
    out = io.StringIO()
    reports = Reports(ReportOptions(web=0, html=report), Console(file=out, width=120))
    results: list[RunResult] = []
    troubles: list[str] = []

    async def run() -> None:
        result = await run_load(plan, observers=reports.observers, data_dir=tmp_path / "data")
        results.append(result)
        await reports.finish(result)

    async with reports.running(), _browser() as browser, anyio.create_task_group() as tasks:
        tasks.start_soon(run)
        url = out.getvalue().partition("live page: ")[2].split()[0]
        page = await _open(browser, url, troubles)
        await _steer(page)
        async with page.expect_popup() as opened:
            await page.click("#report")
        popup = await opened.value
        await popup.wait_for_selector("svg[data-drawn=yes]")
        assert (await _drawn(popup))["curve"] >= 4
        await eventually(lambda: "report:" in out.getvalue(), "the report to be written")
        # What is asked of a server that is gone would be seen as trouble.
        offline = await _open(browser, "about:blank", troubles)
        await offline.context.set_offline(offline=True)
        await _read_report(offline, report)
        await page.click("#close")
    assert troubles == []
    (result,) = results
    assert result.flow.ok
    assert max(one.target_rate or 0 for one in result.timeline) in {240.0, 320.0}
    assert any("From the live page" in note and "120" not in note for note in result.notes)
    assert not result.aborted


@asynccontextmanager
async def _served() -> AsyncIterator[tuple[LivePage, Steered, str, str]]:
    """Yield a page, its run, its address and its token."""
    page, control = LivePage(), Steered()
    async with page.serving():
        await page.on_start(control)
        address, _, token = page.url.partition("/?token=")
        yield page, control, address, token


@asynccontextmanager
async def _visitor(address: str, token: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(address, cookie_jar=jar) as session:
        if token:
            answer = await session.get("/", params={"token": token})
            assert (answer.status, answer.url.query_string) == (200, "")
        yield session


@pytest.mark.anyio
async def test_only_who_has_the_link_sees_the_page() -> None:
    """Without the token, or with another one, there is nothing to be had."""
    async with _served() as (_, control, address, token):
        async with _visitor(address) as stranger:
            for path in ("/", "/state", "/report", f"/?token={token[:-1]}x"):
                answer = await stranger.get(path)
                assert (answer.status, (await answer.json())["code"]) == (403, "no_token")
            command = {"action": "stop"}
            answer = await stranger.post("/command", json=command, headers={"X-Load-Token": token})
            assert answer.status == 403
        async with _visitor(address, token) as owner:
            state = await (await owner.get("/state")).json()
            assert state["scenario"] == "city_day"
            assert (await owner.get("/report")).status == 409
            # A form of another page could send the cookie, but never the header.
            assert (await owner.post("/command", json=command)).status == 403
        assert control.told == []


@pytest.mark.anyio
async def test_another_site_can_neither_read_nor_steer() -> None:
    """A name that was made to point here, and a page of another origin, are turned away."""
    async with _served() as (_, control, address, token), _visitor(address, token) as owner:
        headers = {"X-Load-Token": token}
        answer = await owner.get("/state", headers={"Host": "evil.example:80"})
        assert (answer.status, (await answer.json())["code"]) == (421, "wrong_host")
        for origin in ("http://evil.example", "null", "https://127.0.0.1"):
            answer = await owner.post(
                "/command", json={"action": "stop"}, headers=headers | {"Origin": origin}
            )
            assert (answer.status, (await answer.json())["code"]) == (403, "wrong_origin")
        assert control.told == []
        answer = await owner.post(
            "/command", json={"action": "stop"}, headers=headers | {"Origin": address}
        )
        assert answer.status == 200
        assert [name for name, _ in control.told] == ["stop"]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"action": "edit", "rate": 0}', 400),
        (b'{"action": "edit", "rate": 1e9}', 400),
        (b'{"action": "edit", "users": -1}', 400),
        (b'{"action": "edit", "users": 1.5}', 400),
        (b'{"action": "edit", "duration_s": 0.5}', 400),
        (b'{"action": "explode"}', 400),
        (b'{"action": "stop", "more": 1}', 400),
        (b"no json", 400),
        (b'{"action": "edit"}', 409),
        (b'{"action": "close"}', 409),
        (b"[" * 5_000, 413),
    ],
)
async def test_a_command_that_makes_no_sense_changes_nothing(body: bytes, status: int) -> None:
    """Figures out of range, unknown fields and what cannot be done now are refused with words."""
    async with _served() as (_, control, address, token), _visitor(address, token) as owner:
        headers = {"X-Load-Token": token, "Content-Type": "application/json"}
        answer = await owner.post("/command", data=body, headers=headers)
        assert answer.status == status
        assert control.told == []


@pytest.mark.anyio
async def test_the_state_comes_bit_by_bit() -> None:
    """A page gets the seconds that it does not know, and the report when the run has ended."""
    async with _served() as (page, control, address, token), _visitor(address, token) as owner:
        await page.on_phase(MARKS[0])
        run = samples(12, 20)
        for sample in run:
            control.add(sample, next((one for one in MARKS if one.start_s == sample.start_s), None))
            await page.on_interval(sample)
        state = await (await owner.get("/state?epoch=0&known=10")).json()
        assert (state["first"], state["charts"]["columns"]["start"]) == (10, [10.0, 11.0])
        assert (await owner.get("/state?epoch=x")).status == 400
        await page.on_end(sample_result(12, 20))
        answer = await owner.get("/report")
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "Threshold failed" in await answer.text()


@pytest.mark.anyio
async def test_the_page_may_load_nothing_and_be_framed_by_nobody() -> None:
    """The answer's headers forbid all but the page's own script and style."""
    async with _served() as (_, _, address, token), _visitor(address, token) as owner:
        answer = await owner.get("/")
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'nonce-")
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store"
        again = await owner.get("/")
        assert again.headers["Content-Security-Policy"] != policy


@pytest.mark.anyio
async def test_a_port_that_is_taken_is_said_before_the_run() -> None:
    """The option, the port and what to do are named."""
    console = Console(file=io.StringIO())
    async with _served() as (_, _, address, _):
        port = int(address.rpartition(":")[2])
        for options in (ReportOptions(web=port), ReportOptions(prometheus=port)):
            with pytest.raises(PlanUnusable, match=f"{port} cannot be listened on"):
                async with Reports(options, console).running():
                    pass


@pytest.mark.anyio
async def test_a_report_that_cannot_be_written_is_said_before_the_run(tmp_path: Path) -> None:
    """A folder in place of a file, and a file in place of a folder, are named."""
    console = Console(file=io.StringIO())
    (tmp_path / "file").write_text("")
    with pytest.raises(PlanUnusable, match="is a folder; name a file"):
        async with Reports(ReportOptions(html=tmp_path), console).running():
            pass
    with pytest.raises(PlanUnusable, match=r"--csv: .* cannot be made"):
        async with Reports(ReportOptions(csv=tmp_path / "file" / "x"), console).running():
            pass


@pytest.mark.anyio
async def test_prometheus_is_answered_while_the_run_goes_on() -> None:
    """The endpoint serves the exporter's figures, and its port is free afterwards."""
    exporter = PrometheusExporter()
    exporter.start()
    try:
        await exporter.on_start(Steered())
        await exporter.on_interval(samples(1, 20)[0])
        async with aiohttp.ClientSession() as session, session.get(exporter.url) as answer:
            text = await answer.text()
    finally:
        await asyncio.to_thread(exporter.stop)
    assert 'zhihui_load_run_info{run_id="r7k2m9",scenario="city_day"} 1.0' in text
    assert 'outcome="ok"' in text
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(exporter.url)
