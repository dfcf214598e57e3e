// Charts as inline SVG, without a library: time series with phases as bands, and curves of
// percentiles. The same file draws the report, which works offline, and the live page.
"use strict";

const Charts = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HEIGHT = 232;
  const PAD = { left: 58, right: 14, top: 22, bottom: 26 };
  const instances = new Set();

  const node = (name, attributes = {}, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const html = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const finite = (value) => typeof value === "number" && Number.isFinite(value);

  // --- numbers for people ---
  const digits = (value) => {
    const size = Math.abs(value);
    return value.toLocaleString("en-US", {
      maximumFractionDigits: size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3,
    });
  };
  const FORMATS = {
    ms: (value) => {
      if (value === 0) return "0";
      const size = Math.abs(value);
      if (size < 1) return `${digits(value * 1000)} µs`;
      return size < 1000 ? `${digits(value)} ms` : `${digits(value / 1000)} s`;
    },
    "/s": (value) => `${digits(value)}/s`,
    "%": (value) => `${digits(value)} %`,
    count: digits,
  };
  const tick = (value, unit) => {
    if (unit === "ms" || unit === "%") return FORMATS[unit](value);
    const size = Math.abs(value);
    if (size >= 1e6) return `${digits(value / 1e6)} M`;
    return size >= 10000 ? `${digits(value / 1000)} k` : digits(value);
  };
  const clock = (seconds) => {
    const whole = Math.floor(Math.abs(seconds));
    const rest = Math.round((Math.abs(seconds) - whole) * 10);
    const text = whole >= 3600
      ? `${Math.floor(whole / 3600)}:${String(Math.floor(whole / 60) % 60).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`
      : `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
    return `${seconds < 0 ? "−" : ""}${text}${rest && rest < 10 ? `.${rest}` : ""}`;
  };
  // A percentile stands at the number of nines before it: 90 at 1, 99 at 2, 99.9 at 3.
  const nines = (percent) => -Math.log10(1 - percent / 100);
  const percentLabel = (position) => {
    const percent = 100 * (1 - 10 ** -position);
    return `${Number(percent.toFixed(Math.max(0, Math.ceil(position - 1.5))))} %`;
  };

  // --- scales ---
  const niceStep = (span, count, whole) => {
    const raw = span / count;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
    return whole ? Math.max(1, step) : step;
  };
  const linear = (max, unit) => {
    const top = max > 0 ? max * 1.04 : 1;
    const step = niceStep(top, 4, unit === "count");
    const end = Math.ceil(top / step) * step;
    const ticks = [];
    for (let index = 0; index * step <= end + step / 2; index += 1) ticks.push(index * step);
    return { ticks, minor: [], place: (value) => value / end };
  };
  const logarithmic = (min, max) => {
    let low = Math.floor(Math.log10(min) + 1e-9);
    let high = Math.ceil(Math.log10(max) - 1e-9);
    if (high - low < 1) high = low + 1;
    const ticks = [];
    const minor = [];
    for (let power = low; power <= high; power += 1) {
      for (let factor = 1; factor < 10; factor += 1) {
        const value = factor * 10 ** power;
        if (value > 10 ** high * 1.001) break;
        const labelled = factor === 1 || (high - low <= 2 && (factor === 2 || factor === 5));
        (labelled ? ticks : minor).push(value);
      }
    }
    return {
      ticks, minor,
      place: (value) => Math.max(0, (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low)),
    };
  };
  const timeTicks = (from, to, width) => {
    const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];
    const wanted = (to - from) / Math.max(2, Math.floor(width / 84));
    const step = steps.find((value) => value >= wanted) || 86400;
    const ticks = [];
    for (let value = Math.ceil(from / step) * step; value <= to + 1e-9; value += step) ticks.push(value);
    return ticks;
  };

  // --- parts of a chart ---
  const stacked = (series) => {
    const sums = [];
    return series.map((line) => ({
      ...line,
      base: line.values.map((_, index) => sums[index] || 0),
      values: line.values.map((value, index) => {
        sums[index] = (sums[index] || 0) + (finite(value) ? value : 0);
        return sums[index];
      }),
    }));
  };
  const path = (points) => points.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const runs = (xs, values) => {
    const found = [];
    let run = [];
    values.forEach((value, index) => {
      if (finite(value)) run.push(index);
      else if (run.length) { found.push(run); run = []; }
    });
    if (run.length) found.push(run);
    return found;
  };
  const drawBands = (svg, spec, view) => {
    (spec.bands || []).forEach((band, index) => {
      const left = Math.max(view.x(band.from), PAD.left);
      const right = Math.min(view.x(band.to), view.width - PAD.right);
      if (right - left < 0.5) return;
      const shape = node("rect", {
        x: left, y: PAD.top, width: right - left, height: HEIGHT - PAD.top - PAD.bottom,
        class: `band band-${band.kind || (index % 2 ? "odd" : "even")}`,
      });
      shape.append(node("title", {}, `${band.name}: ${clock(band.from)} to ${clock(band.to)}`));
      svg.append(shape);
      if (index) svg.append(node("line", { x1: left, x2: left, y1: PAD.top - 12, y2: HEIGHT - PAD.bottom, class: "edge" }));
      const room = Math.floor((right - left - 8) / 6.2);
      if (room < 3) return;
      const name = band.name.length <= room ? band.name : `${band.name.slice(0, room - 1)}…`;
      svg.append(node("text", { x: left + 4, y: PAD.top - 6, class: "band-name" }, name));
    });
    if (!spec.worst) return;
    const [from, to] = spec.worst.map(view.x);
    const bar = node("rect", { x: from, y: HEIGHT - PAD.bottom - 3, width: Math.max(2, to - from), height: 3, class: "worst" });
    bar.append(node("title", {}, `Worst 10 s: ${clock(spec.worst[0])} to ${clock(spec.worst[1])}`));
    svg.append(bar);
  };
  const drawAxes = (svg, spec, view) => {
    for (const value of view.scale.minor) {
      svg.append(node("line", { x1: PAD.left, x2: view.width - PAD.right, y1: view.y(value), y2: view.y(value), class: "grid minor" }));
    }
    for (const value of view.scale.ticks) {
      const y = view.y(value);
      svg.append(node("line", { x1: PAD.left, x2: view.width - PAD.right, y1: y, y2: y, class: "grid" }));
      svg.append(node("text", { x: PAD.left - 7, y: y + 4, class: "tick", "text-anchor": "end" }, tick(value, spec.unit)));
    }
    for (const value of view.xTicks) {
      const x = view.x(value);
      svg.append(node("line", { x1: x, x2: x, y1: HEIGHT - PAD.bottom, y2: HEIGHT - PAD.bottom + 4, class: "mark" }));
      svg.append(node("text", { x, y: HEIGHT - 8, class: "tick", "text-anchor": "middle" }, view.xLabel(value)));
    }
    svg.append(node("line", { x1: PAD.left, x2: view.width - PAD.right, y1: HEIGHT - PAD.bottom, y2: HEIGHT - PAD.bottom, class: "axis" }));
  };
  const drawLimits = (svg, spec, view) => {
    for (const limit of spec.limits || []) {
      const y = view.y(limit.value);
      svg.append(node("line", { x1: PAD.left, x2: view.width - PAD.right, y1: y, y2: y, class: "limit" }));
      svg.append(node("text", { x: view.width - PAD.right - 4, y: y - 4, class: "limit-name", "text-anchor": "end" }, limit.name));
    }
  };
  const drawLine = (svg, line, xs, view) => {
    for (const run of runs(xs, line.values)) {
      const top = run.map((index) => [view.x(xs[index]), view.y(line.values[index])]);
      if (line.base || line.area) {
        const floor = run.map((index) => [view.x(xs[index]), view.y(line.base ? line.base[index] : 0)]).reverse();
        svg.append(node("path", { d: `${path([...top, ...floor])}Z`, class: `area fill-${line.color}` }));
      }
      if (run.length === 1) {
        svg.append(node("circle", { cx: top[0][0], cy: top[0][1], r: 2.2, class: `dot fill-${line.color}` }));
      } else {
        svg.append(node("path", { d: path(top), class: `line stroke-${line.color}${line.dash ? ` ${line.dash}` : ""}` }));
      }
    }
  };
  const viewOf = (spec, series, width) => {
    const values = [...series.flatMap((line) => line.values.filter(finite)), ...(spec.limits || []).map((limit) => limit.value)];
    const positive = values.filter((value) => value > 0);
    const useLog = spec.log && positive.length > 0;
    const scale = useLog ? logarithmic(Math.min(...positive), Math.max(...positive)) : linear(Math.max(0, ...values), spec.unit);
    const percent = spec.kind === "percentiles";
    const at = percent ? spec.x.map(nines) : spec.x;
    const from = percent ? at[0] : spec.from ?? at[0];
    const to = Math.max(percent ? at[at.length - 1] : spec.to ?? at[at.length - 1], from + (percent ? 0.1 : 0.001));
    const inner = width - PAD.left - PAD.right;
    const xTicks = percent
      ? [nines(50), 1, 2, 3, 4, 5].filter((value) => value >= from - 1e-9 && value <= to + 1e-9)
      : timeTicks(from, to, inner);
    return {
      width, at, scale, xTicks,
      xLabel: percent ? percentLabel : clock,
      x: (value) => PAD.left + ((value - from) / (to - from)) * inner,
      y: (value) => HEIGHT - PAD.bottom - scale.place(value) * (HEIGHT - PAD.top - PAD.bottom),
    };
  };

  // --- the legend, the figures below, and what the pointer shows ---
  const legendOf = (series) => {
    const list = html("ul", "legend");
    for (const line of series) {
      const item = html("li");
      const swatch = node("svg", { width: 22, height: 10, "aria-hidden": "true" });
      swatch.append(line.area || line.base
        ? node("rect", { x: 3, y: 0, width: 14, height: 10, rx: 2, class: `fill-${line.color}` })
        : node("line", { x1: 0, x2: 22, y1: 5, y2: 5, class: `line stroke-${line.color}${line.dash ? ` ${line.dash}` : ""}` }));
      item.append(swatch, line.name);
      list.append(item);
    }
    return list;
  };
  const figuresOf = (spec) => {
    const details = html("details", "figures");
    details.append(html("summary", "", "Figures"));
    details.addEventListener("toggle", () => {
      if (!details.open || details.querySelector("table")) return;
      const scroll = html("div", "scroll");
      const table = html("table");
      const head = table.createTHead().insertRow();
      for (const name of [spec.kind === "percentiles" ? "percentile" : "time", ...spec.series.map((line) => line.name)]) {
        const cell = html("th", "", name);
        cell.scope = "col";
        head.append(cell);
      }
      const body = table.createTBody();
      spec.x.forEach((_, index) => {
        const row = body.insertRow();
        const first = html("th", "", moment(spec, index));
        first.scope = "row";
        row.append(first);
        for (const line of spec.series) {
          const value = line.values[index];
          row.insertCell().textContent = finite(value) ? FORMATS[spec.unit](value) : "–";
        }
      });
      scroll.append(table);
      details.append(scroll);
    });
    return details;
  };
  const moment = (spec, index) => {
    if (spec.kind === "percentiles") return `p${spec.x[index]}`;
    const half = spec.widths ? spec.widths[index] / 2 : 0;
    return half ? `${clock(spec.x[index] - half)} to ${clock(spec.x[index] + half)}` : clock(spec.x[index]);
  };
  const nearest = (at, wanted) => {
    let low = 0;
    let high = at.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (at[middle] < wanted) low = middle; else high = middle;
    }
    return wanted - at[low] < at[high] - wanted ? low : high;
  };

  class Chart {
    constructor(host, spec) {
      this.host = host;
      this.cursor = null;
      host.classList.add("chart");
      this.title = html("h3");
      this.note = html("p", "note");
      this.legend = html("div");
      this.plot = html("div", "plot");
      this.tip = html("div", "tip");
      this.tip.hidden = true;
      this.bottom = html("div");
      host.replaceChildren(this.title, this.note, this.legend, this.plot, this.bottom);
      this.plot.addEventListener("pointermove", (event) => this.point(event));
      this.plot.addEventListener("pointerleave", () => show(null, this));
      this.plot.addEventListener("keydown", (event) => this.key(event));
      this.plot.addEventListener("blur", () => show(null, this), true);
      instances.add(this);
      this.update(spec);
      new ResizeObserver(() => this.draw()).observe(this.plot);
    }

    update(spec) {
      this.spec = spec;
      this.title.textContent = spec.title;
      this.note.textContent = spec.note || "";
      this.note.hidden = !spec.note;
      const open = this.bottom.querySelector("details")?.open;
      const some = spec.series.some((line) => line.values.some(finite));
      if (!open) this.bottom.replaceChildren(some ? figuresOf(spec) : "");
      this.draw();
    }

    draw() {
      const { spec } = this;
      const series = spec.stack ? stacked(spec.series) : spec.series;
      const some = series.some((line) => line.values.some(finite));
      this.legend.replaceChildren(some ? legendOf(series) : "");
      const width = Math.max(260, this.plot.clientWidth || 560);
      const svg = node("svg", {
        viewBox: `0 0 ${width} ${HEIGHT}`, width, height: HEIGHT, role: "img", tabindex: some ? 0 : -1,
        "aria-label": `${spec.title}. ${series.map((line) => line.name).join(", ")}. The figures are in the table below.`,
      });
      if (!some || !spec.x.length) {
        svg.append(node("rect", { x: 0.5, y: 0.5, width: width - 1, height: HEIGHT - 1, rx: 6, class: "nothing" }));
        svg.append(node("text", { x: width / 2, y: HEIGHT / 2 + 4, class: "empty", "text-anchor": "middle" }, spec.empty || "Nothing was recorded"));
        this.view = null;
      } else {
        this.view = viewOf(spec, series, width);
        this.series = series;
        drawBands(svg, spec, this.view);
        drawAxes(svg, spec, this.view);
        drawLimits(svg, spec, this.view);
        for (const line of spec.stack ? [...series].reverse() : series) drawLine(svg, line, this.view.at, this.view);
        this.hair = node("line", { y1: PAD.top, y2: HEIGHT - PAD.bottom, class: "hair", visibility: "hidden" });
        svg.append(this.hair);
      }
      svg.dataset.drawn = some ? "yes" : "no";
      this.plot.replaceChildren(svg, this.tip);
      if (this.view && this.cursor !== null) this.mark(this.cursor, this.spoken);
    }

    point(event) {
      if (!this.view) return;
      const box = this.plot.getBoundingClientRect();
      const share = (event.clientX - box.left - PAD.left) / (this.view.width - PAD.left - PAD.right);
      const first = this.view.at[0];
      const last = this.view.at[this.view.at.length - 1];
      const percentiles = this.spec.kind === "percentiles";
      const start = percentiles ? first : this.spec.from ?? first;
      const end = percentiles ? last : this.spec.to ?? last;
      show(nearest(this.view.at, start + share * (end - start)), this);
    }

    key(event) {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.view) return;
      event.preventDefault();
      const last = this.view.at.length - 1;
      show(Math.min(last, Math.max(0, (this.cursor ?? (step > 0 ? -1 : last + 1)) + step)), this);
    }

    mark(index, spoken) {
      this.cursor = index;
      this.spoken = spoken;
      if (!this.view) return;
      if (index === null || index >= this.spec.x.length) {
        this.hair.setAttribute("visibility", "hidden");
        this.tip.hidden = true;
        return;
      }
      const x = this.view.x(this.view.at[index]);
      this.hair.setAttribute("x1", x);
      this.hair.setAttribute("x2", x);
      this.hair.setAttribute("visibility", "visible");
      if (!spoken) { this.tip.hidden = true; return; }
      this.tip.replaceChildren(html("b", "", moment(this.spec, index)));
      for (const line of this.spec.series) {
        const value = line.values[index];
        const row = html("div");
        row.append(html("i", `back-${line.color}`), html("span", "", line.name),
          html("em", "", finite(value) ? FORMATS[this.spec.unit](value) : "–"));
        this.tip.append(row);
      }
      this.tip.hidden = false;
      const left = x + 14 + this.tip.offsetWidth > this.view.width ? x - 14 - this.tip.offsetWidth : x + 14;
      this.tip.style.left = `${Math.max(0, left)}px`;
    }
  }

  // One moment is marked in all charts of time at once; only the one that is pointed at speaks.
  const show = (index, speaker) => {
    for (const chart of instances) {
      const same = chart === speaker || (chart.spec.kind !== "percentiles" && speaker.spec.kind !== "percentiles");
      chart.mark(same ? index : null, chart === speaker);
    }
  };

  return { Chart, FORMATS, clock, finite, html };
})();
