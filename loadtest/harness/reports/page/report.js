// The charts of a run, from the columns that `chart_data.py` makes. Both pages use them.
"use strict";

const RunCharts = (() => {
  const PERCENTILES = { p50: "teal", p95: "amber", p99: "purple" };
  const CODES = ["red", "amber", "purple", "pink", "olive", "grey"];

  const timed = (data) => ({
    // A point stands for its whole second, so it is drawn in the middle of it.
    x: data.columns.start.map((start, index) => start + data.columns.seconds[index] / 2),
    widths: data.columns.seconds,
    worst: data.worst,
    bands: data.bands.map((band) => ({ name: band.name, from: band.start, to: band.end, kind: band.measured ? "" : "warmup" })),
    from: data.from ?? 0,
    to: data.columns.start.length ? data.columns.start.at(-1) + data.columns.seconds.at(-1) : 1,
  });
  const some = (values) => values.some((value) => value);
  const merged = (data) => data.merged > 1 ? ` Each point is the worst of ${data.merged} in a row.` : "";

  const throughput = (data) => {
    const { columns } = data;
    const series = [{ name: "ok", values: columns.ok, color: "blue", area: true }];
    if (data.open_loop) series.push({ name: "target", values: columns.target, color: "grey", dash: "dash" });
    if (some(columns.rejected)) series.push({ name: "rejected", values: columns.rejected, color: "amber" });
    if (some(columns.errors)) series.push({ name: "errors", values: columns.errors, color: "red" });
    if (some(columns.dropped)) series.push({ name: "dropped by the generator", values: columns.dropped, color: "pink" });
    return { ...timed(data), title: "Throughput", unit: "/s", series,
      note: `Requests a second, by when their answers came${data.open_loop ? ", beside what the plan asked for" : ""}.` };
  };
  const times = (data) => {
    const lines = (kind, dash) => Object.entries(data.columns[kind]).map(([name, values]) => (
      { name: `${kind} ${name}`, values, color: PERCENTILES[name], dash }));
    return { ...timed(data), title: "Response time and service time", unit: "ms", log: true,
      series: [...lines("response", ""), ...lines("service", "dash")], limits: data.limits,
      note: `Response from the intended start, service (dashed) from the real one; log scale.${merged(data)}` };
  };
  const lag = (data) => ({
    ...timed(data), title: "Schedule lag", unit: "ms", log: true,
    series: Object.entries(data.columns.lag).map(([name, values]) => ({ name: `lag ${name}`, values, color: PERCENTILES[name] })),
    note: `How late the generator sent what was due, its own doing; log scale.${merged(data)}`,
    empty: "No request was sent",
  });
  const errors = (data) => ({
    ...timed(data), title: "Errors and refusals by code", unit: "/s", stack: true,
    series: Object.entries(data.columns.codes).map(([name, values], index) => ({ name, values, color: CODES[index] })),
    note: "Codes a second of all requests that were not ok, stacked.", empty: "Every request was ok",
  });
  const work = (data) => ({
    ...timed(data), title: data.open_loop ? "Requests under way" : "Users and requests under way", unit: "count",
    series: [
      ...(data.open_loop ? [] : [{ name: "users", values: data.columns.users, color: "blue" }]),
      { name: "under way", values: data.columns.in_flight, color: "teal", area: data.open_loop },
    ],
    note: data.open_loop
      ? "Sent and not yet answered. A line that climbs says that the service falls behind."
      : "Users that run, and requests sent and not yet answered.",
  });
  const generator = (data) => ({
    ...timed(data), title: "Load generator", unit: "%",
    series: [{ name: "CPU of the busiest process, of one core", values: data.columns.cpu_percent, color: "olive", area: true }],
    note: "Near 100 % the generator itself is the limit, and the run does not count.",
  });
  const curve = (data) => ({
    title: "Percentiles of the measured part", unit: "ms", log: true, kind: "percentiles",
    x: data.curve ? data.curve.percents : [],
    series: data.curve ? [
      { name: "response", values: data.curve.response, color: "blue" },
      { name: "service", values: data.curve.service, color: "teal", dash: "dash" },
      { name: "schedule lag", values: data.curve.lag, color: "grey", dash: "dots" },
    ] : [],
    note: "Each further nine takes the same width. The curve ends where fewer than ten samples lie beyond.",
    empty: "Insufficient samples for a curve",
  });

  const ALL = { throughput, times, lag, errors, work, generator, curve };
  const draw = (root, data, charts = {}) => {
    for (const [name, spec] of Object.entries(ALL)) {
      const host = root.querySelector(`[data-chart="${name}"]`);
      if (!host) continue;
      const made = spec(data);
      if (data.live && !data.columns.start.length) made.empty = "Waiting for the first second";
      if (charts[name]) charts[name].update(made);
      else charts[name] = new Charts.Chart(host, made);
    }
    return charts;
  };
  return { draw };
})();

const Theme = (() => {
  // Remembered where the browser allows it; a file opened from disk may not be allowed.
  const KEY = "zhihui-load-theme";
  const remembered = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
  const set = (theme) => {
    document.documentElement.dataset.theme = theme;
    try { localStorage.setItem(KEY, theme); } catch { /* then it holds for this page */ }
  };
  const dark = () => (document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches);
  const start = () => {
    const theme = remembered();
    if (theme) document.documentElement.dataset.theme = theme;
    const button = document.getElementById("theme");
    const say = () => { button.textContent = dark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => { set(dark() ? "light" : "dark"); say(); });
    say();
  };
  return { start };
})();
