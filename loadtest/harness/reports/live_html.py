"""The live page as HTML; its figures come from the state that the script asks for."""

from loadtest.harness.reports.html import Markup, element
from loadtest.harness.reports.html_report import CHARTS, chart_places, page_file

__all__ = ("live_html",)

_BODY = Markup(
    """
<header>
  <div class="titles"><h1 id="scenario">Load run</h1>
    <p><span class="badge warn" id="state" role="status">connecting</span>
      <span class="muted" id="clock"></span> <span class="muted" id="about"></span></p></div>
  <button type="button" id="theme">Dark</button>
</header>
<p class="verdict bad" id="lost" role="alert" hidden></p>
<div id="ending" role="status"></div>
<div class="controls" id="running">
  <button type="button" class="primary" id="start" disabled>Start</button>
  <button type="button" id="stop" disabled
    title="End the load now and judge what there is">Stop</button>
  <button type="button" class="danger" id="abort" disabled
    title="End the load now; the run does not pass">Abort</button>
  <form id="edit">
    <label id="rate-field">Rate, a second
      <input id="rate" type="number" min="0.1" max="1000000" step="any" disabled></label>
    <label id="users-field" hidden>Users
      <input id="users" type="number" min="0" max="1000000" step="1" disabled></label>
    <label id="duration-field">Measured part, s
      <input id="duration" type="number" min="1" max="604800" step="any" disabled></label>
    <button id="apply" disabled>Apply</button>
  </form>
  <span class="said" id="said" role="status"></span>
  <progress id="progress" max="1" value="0" hidden aria-label="Part of the plan that is over">
  </progress>
</div>
<div class="controls" id="after" hidden>
  <a href="/report" target="_blank" rel="noopener" class="button" id="report">Open the report</a>
  <button type="button" id="close">Close</button>
</div>
<main>
<p id="so-far-line" hidden></p>
<div id="now-part"><h2>The last second</h2><dl class="tiles" id="now"></dl></div>
<h2><span id="so-far">Measured so far</span><span class="note" id="part"></span></h2>
<dl class="tiles" id="total"></dl>
<h2>Over time</h2>
"""
)

_TABLE = Markup(
    """
<h2>By name</h2>
<p class="muted" id="no-names">Nothing was measured yet.</p>
<div class="scroll" id="names-scroll" tabindex="0" role="region" aria-label="Requests by name"
  hidden>
<table id="names"><caption>Requests of the measured part so far</caption>
<thead><tr><th scope="col">name</th><th scope="col">sent</th><th scope="col">ok a second</th>
<th scope="col">errors</th><th scope="col">response p50</th><th scope="col">p95</th>
<th scope="col">p99</th><th scope="col">max</th><th scope="col">service p50</th>
<th scope="col">p99</th><th scope="col">lag p50</th><th scope="col">p99</th></tr></thead>
<tbody></tbody></table></div>
<h2 id="events-title" hidden>Done from this page</h2><ul id="events"></ul>
</main>
"""
)


def live_html(token: str, nonce: str) -> str:
    """Return the page. ``token`` goes with its commands, ``nonce`` allows its scripts."""
    script = "\n".join(map(page_file, ("charts.js", "report.js", "live.js")))
    charts = chart_places(CHARTS)
    hidden = element("script", token, type="text/plain", id="token", nonce=nonce)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>Load run</title><style nonce="{nonce}">{page_file("style.css")}</style></head>'
        f'<body><div class="wrap">{_BODY}{charts}{_TABLE}</div>{hidden}'
        f'<script nonce="{nonce}">{script}</script></body></html>\n'
    )
