// The live page: asks once a second for what is new, draws it, and sends commands.
"use strict";

(() => {
  const { html, clock, FORMATS, finite } = Charts;
  const TOKEN = document.getElementById("token").textContent;
  const EVERY_MS = 1000;
  const CODES_MAX = 6;
  const $ = (id) => document.getElementById(id);

  const known = { epoch: 0, columns: null };
  const charts = {};
  let ended = false;

  // --- what is new, put behind what is there ---
  const length = () => (known.columns ? known.columns.start.length : 0);
  const joined = (old, more) => {
    if (Array.isArray(old)) return old.concat(more);
    return Object.fromEntries(Object.keys(more).map((name) => [name, joined(old[name], more[name])]));
  };
  const padded = (codes, names, points) => Object.fromEntries(
    [...names].map((name) => [name, codes[name] || new Array(points).fill(0)]));
  const take = (state) => {
    const more = state.charts.columns;
    if (!known.columns || state.first === 0) known.columns = more;
    else {
      const old = known.columns;
      const names = new Set([...Object.keys(old.codes), ...Object.keys(more.codes)]);
      known.columns = joined({ ...old, codes: padded(old.codes, names, old.start.length) },
        { ...more, codes: padded(more.codes, names, more.start.length) });
    }
    known.epoch = state.epoch;
  };
  const fewCodes = (columns) => {
    const entries = Object.entries(columns.codes);
    if (entries.length <= CODES_MAX) return columns;
    const sum = (values) => values.reduce((total, value) => total + value, 0);
    entries.sort((one, other) => sum(other[1]) - sum(one[1]));
    const rest = entries.slice(CODES_MAX - 1).map(([, values]) => values);
    const other = rest[0].map((_, index) => sum(rest.map((values) => values[index])));
    return { ...columns, codes: Object.fromEntries([...entries.slice(0, CODES_MAX - 1), ["other codes", other]]) };
  };

  // --- figures ---
  const percentile = (latency, percent) => latency?.percentiles.find((one) => one.percent === percent);
  const time = (value) => (finite(value) ? FORMATS.ms(value) : "–");
  const atPercent = (latency, percent) => {
    const one = percentile(latency, percent);
    if (one && finite(one.ms)) return html("span", "", FORMATS.ms(one.ms));
    if (!latency || !latency.count) return html("span", "", "–");
    const span = html("span", "lacking", "insufficient");
    span.title = one ? one.reason : "";
    return span;
  };
  const share = (part, whole) => {
    if (!whole) return "–";
    const percent = 100 * part / whole;
    return part && percent < 0.01 ? "< 0.01 %" : `${percent.toFixed(part ? 2 : 0)} %`;
  };
  const errors = (counts) => counts.failed + counts.timed_out + counts.unknown;
  const tile = (label, value, below) => {
    const made = html("div", "tile");
    const figure = html("dd");
    figure.append(value, html("small", "", below));
    made.append(html("dt", "", label), figure);
    return made;
  };
  const showNow = (state) => {
    const columns = known.columns;
    const last = length() - 1;
    const at = (values) => (last < 0 ? undefined : values[last]);
    $("now").replaceChildren(
      tile("Throughput", last < 0 ? "–" : FORMATS["/s"](at(columns.ok)), state.target_rate === null ? "no fixed rate" : `of ${FORMATS["/s"](state.target_rate)} asked for`),
      tile("Response p99", time(at(columns.response.p99)), `service p99 ${time(at(columns.service.p99))}`),
      tile("Schedule lag p99", time(at(columns.lag.p99)), `p50 ${time(at(columns.lag.p50))}`),
      tile("Under way", FORMATS.count(state.in_flight), state.users ? `${FORMATS.count(state.users)} users` : "sent, not yet answered"),
      tile("Generator", last < 0 ? "–" : FORMATS["%"](at(columns.cpu_percent)), "of one core"),
    );
  };
  const showTotal = (total) => {
    if (!total) return;
    const { counts } = total;
    $("total").replaceChildren(
      tile("Throughput", FORMATS["/s"](total.per_second), `${FORMATS.count(counts.ok)} ok`),
      ...[50, 95, 99].map((percent) => tile(`Response p${percent}`, atPercent(total.response, percent),
        `service ${percentile(total.service, percent)?.ms == null ? "–" : time(percentile(total.service, percent).ms)}`)),
      tile("Schedule lag p99", atPercent(total.lag, 99), `max ${time(total.lag.max_ms)}`),
      tile("Errors", share(errors(counts), counts.sent), `${FORMATS.count(errors(counts))} of ${FORMATS.count(counts.sent)}`),
    );
  };
  const showNames = (names, total) => {
    const body = $("names").tBodies[0];
    const lines = names.length ? [...names, { ...total, name: "All requests", last: true }] : [];
    body.replaceChildren(...lines.map((one) => {
      const row = html("tr", one.last ? "total" : "");
      const first = html("th", "", one.name);
      first.scope = "row";
      row.append(first);
      const cells = [FORMATS.count(one.counts.sent), FORMATS["/s"](one.per_second), share(errors(one.counts), one.counts.sent),
        ...[50, 95, 99].map((percent) => atPercent(one.response, percent)), time(one.response.max_ms),
        ...[50, 99].map((percent) => atPercent(one.service, percent)), ...[50, 99].map((percent) => atPercent(one.lag, percent))];
      for (const cell of cells) row.insertCell().append(cell);
      return row;
    }));
    $("no-names").hidden = lines.length > 0;
    $("names-scroll").hidden = !lines.length;
  };

  // --- how it stands ---
  const WORDS = {
    connecting: "connecting", ready: "ready to start", starting: "starting", running: "running", draining: "waiting for answers",
    resolving: "asking for unknown outcomes", judging: "judging", ended: "ended",
  };
  const showState = (state) => {
    const running = state.state === "running";
    if (state.scenario) $("scenario").textContent = state.scenario;
    document.title = `${WORDS[state.state]}: ${state.scenario || "load run"}`;
    $("about").textContent = state.about;
    $("state").textContent = running ? `running: ${state.phase || "–"}` : WORDS[state.state];
    $("state").className = `badge ${running ? "good" : state.state === "ended" ? "plain" : "warn"}`;
    const planned = state.planned_s;
    $("clock").textContent = planned && state.state !== "ended" ? `${clock(Math.floor(state.elapsed_s))} of ${clock(planned)}` : clock(Math.floor(state.elapsed_s));
    $("progress").hidden = !planned;
    if (planned) $("progress").value = Math.min(1, state.elapsed_s / planned);
    const open = state.open_loop;
    $("rate-field").hidden = !open;
    $("users-field").hidden = open;
    const before = state.state === "ready";
    const live = before || state.state === "starting" || running;
    $("start").disabled = !before;
    $("stop").disabled = !(running || state.state === "starting");
    $("abort").disabled = !live;
    for (const name of ["rate", "users", "duration", "apply"]) $(name).disabled = !live;
    $("rate").placeholder = state.target_rate === null ? "" : Math.round(state.target_rate);
    $("users").placeholder = state.users;
    $("duration").placeholder = state.measured_s === null ? "" : state.measured_s;
    $("part").textContent = state.measured || state.state === "ended" ? "" : " (the warm-up is not measured)";
    $("events").replaceChildren(...state.events.map((one) => html("li", "", `${clock(Math.floor(one.at_s))} · ${one.text}`)));
    $("events-title").hidden = !state.events.length;
  };
  const showSoFar = (judged) => {
    $("so-far-line").hidden = !judged.length;
    $("so-far-line").replaceChildren("So far: ", ...judged.flatMap((one) => {
      const kind = one.ok === null ? "warn" : one.ok ? "good" : "bad";
      const mark = one.ok === null ? "?" : one.ok ? "✓" : "✗";
      return [html("span", `badge ${kind}`, `${mark} ${one.expression}: ${one.measured}`), " "];
    }));
  };
  const showEnding = (ending) => {
    if (!ending || ended) return;
    ended = true;
    const section = html("section", `verdict ${ending.kind}`);
    section.id = "verdict";
    section.append(html("strong", "", ending.headline), html("span", "muted", ` · exit code ${ending.exit_code}`));
    if (ending.reasons.length) {
      const list = html("ul");
      list.append(...ending.reasons.map((reason) => html("li", "", reason)));
      section.append(list);
    } else if (ending.exit_code === 0) section.append(html("div", "", "All thresholds are met, the books balance, the figures count."));
    $("ending").replaceChildren(section);
    $("so-far").textContent = "Measured";
    $("after").hidden = false;
    $("running").hidden = true;
    $("now-part").hidden = true;
  };

  // --- asking and telling ---
  const look = async () => {
    try {
      const answer = await fetch(`/state?epoch=${known.epoch}&known=${length()}`);
      const state = await answer.json();
      if (!answer.ok) throw new Error(state.text);
      take(state);
      showState(state);
      showNow(state);
      showTotal(state.total);
      showNames(state.names, state.total);
      showSoFar(state.so_far);
      showEnding(state.ending);
      RunCharts.draw(document, { ...state.charts, columns: fewCodes(known.columns), live: !ended }, charts);
      $("lost").hidden = true;
      document.body.dataset.points = length();
    } catch (error) {
      $("lost").textContent = `No answer from the run: ${error.message}. Trying again.`;
      $("lost").hidden = false;
    }
    if (!ended) setTimeout(look, EVERY_MS);
  };
  const tell = async (command) => {
    $("said").textContent = "…";
    try {
      const answer = await fetch("/command", {
        method: "POST", headers: { "Content-Type": "application/json", "X-Load-Token": TOKEN }, body: JSON.stringify(command),
      });
      const said = await answer.json();
      $("said").textContent = said.text;
      $("said").className = said.ok ? "said" : "said bad";
      return said.ok;
    } catch (error) {
      $("said").textContent = `Not sent: ${error.message}`;
      $("said").className = "said bad";
      return false;
    }
  };
  const number = (name) => ($(name).value === "" || $(name).closest("label").hidden ? undefined : Number($(name).value));
  $("start").addEventListener("click", () => tell({ action: "start" }));
  $("stop").addEventListener("click", () => tell({ action: "stop" }));
  $("abort").addEventListener("click", () => tell({ action: "abort" }));
  $("close").addEventListener("click", async () => {
    if (await tell({ action: "close" })) $("after").replaceChildren(html("p", "", "Closed. This page can be closed too."));
  });
  $("edit").addEventListener("submit", async (event) => {
    event.preventDefault();
    const done = await tell({ action: "edit", rate: number("rate"), users: number("users"), duration_s: number("duration") });
    if (done) for (const name of ["rate", "users", "duration"]) $(name).value = "";
  });
  Theme.start();
  look();
})();
