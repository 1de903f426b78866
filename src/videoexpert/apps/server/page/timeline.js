// The time axis under the video: a lane for each sentence with its curve and moments, and the playhead.

import { $, clock, svg } from "./dom.js";

const SIDE = 8, AXIS = 20, LANE = 44, GAP = 4;
export const TONES = 6;

/** A round step between ticks that leaves room for their labels. */
export function tickStep(duration, width) {
  const steps = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200];
  return steps.find((step) => (step / duration) * width >= 64) || 14400;
}

export class Timeline {
  constructor({ seek, play }) {
    this.seek = seek;
    this.play = play;
    this.root = $("timeline");
    this.duration = 1;
    this.lanes = [];
    this.root.addEventListener("click", (event) => {
      if (event.target.closest(".span")) return;
      const box = this.root.getBoundingClientRect();
      this.seek(Math.min(Math.max((event.clientX - box.left - SIDE) / (box.width - 2 * SIDE), 0), 1) * this.duration);
    });
    new ResizeObserver(() => this.draw()).observe(this.root.parentElement);
  }

  /** Lanes are {name, tone, curve: [0..1] or null, moments: [{start, end, score, text?}]}. */
  show(duration, lanes) {
    this.duration = Math.max(duration, 0.001);
    this.lanes = lanes;
    this.draw();
  }

  x(second) {
    return SIDE + (second / this.duration) * (this.width - 2 * SIDE);
  }

  draw() {
    this.width = Math.max(this.root.parentElement.clientWidth - 16, 200);
    const height = AXIS + this.lanes.length * (LANE + GAP);
    this.root.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    this.root.setAttribute("height", height);
    this.root.replaceChildren(this.axis(height), ...this.lanes.map((lane, row) => this.lane(lane, row)));
    this.head = svg("line", { class: "head", y1: 0, y2: height - AXIS + 5 });
    this.root.append(this.head);
    this.at(this.now || 0);
  }

  axis(height) {
    const group = svg("g", { "aria-hidden": "true" });
    const step = tickStep(this.duration, this.width);
    for (let second = 0; second <= this.duration + 1e-6; second += step) {
      const x = this.x(second);
      const label = svg("text", { x, y: height - 5, "text-anchor": second === 0 ? "start" : x > this.width - 30 ? "end" : "middle" });
      label.textContent = clock(second, step < 1);
      group.append(svg("line", { class: "tick", x1: x, x2: x, y1: 0, y2: height - AXIS + 3 }), label);
    }
    return group;
  }

  lane(lane, row) {
    const top = row * (LANE + GAP), floor = top + LANE;
    const group = svg("g", { class: `tone-${lane.tone}`, role: "group", "aria-label": lane.name });
    group.append(svg("rect", { class: "lane", x: SIDE, y: top, width: this.width - 2 * SIDE, height: LANE, rx: 6 }));
    if (lane.curve && lane.curve.length) group.append(this.curve(lane.curve, top + 14, floor));
    const name = svg("text", { class: "sentence", x: SIDE + 6, y: top + 12 });
    const room = Math.floor((this.width - 30) / 6.4);
    name.textContent = lane.name.length > room ? `${lane.name.slice(0, room - 1)}…` : lane.name;
    group.append(name, ...lane.moments.map((moment, rank) => this.span(lane, moment, rank, floor)));
    return group;
  }

  curve(values, top, floor) {
    const left = this.x(0), wide = this.x(this.duration) - left;
    const points = values.map((value, i) => `${(left + ((i + 0.5) / values.length) * wide).toFixed(1)},${(floor - value * (floor - top)).toFixed(1)}`);
    return svg("path", { class: "curve", "aria-hidden": "true", d: `M${left},${floor} L${points.join(" L")} L${left + wide},${floor} Z` });
  }

  span(lane, moment, rank, floor) {
    const x = this.x(moment.start), wide = Math.max(this.x(moment.end) - x, 4);
    const bar = svg("rect", {
      class: "span", x, y: floor - 17, width: wide, height: 13, rx: 4, tabindex: 0, role: "button",
      opacity: 0.35 + 0.65 * moment.score,
      "aria-label": `${lane.name}: moment ${rank + 1}, ${clock(moment.start)} to ${clock(moment.end)}, score ${Math.round(moment.score * 100)} percent. Play.`,
    });
    bar.addEventListener("click", () => this.play(moment));
    bar.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); this.play(moment); }
    });
    const title = svg("title");
    title.textContent = `${clock(moment.start)} – ${clock(moment.end)}, ${Math.round(moment.score * 100)}%`;
    bar.append(title);
    bar.moment = moment;
    return bar;
  }

  at(second) {
    this.now = second;
    if (!this.head) return;
    const x = this.x(Math.min(second, this.duration));
    this.head.setAttribute("x1", x);
    this.head.setAttribute("x2", x);
  }

  mark(moment) {
    for (const bar of this.root.querySelectorAll(".span")) bar.classList.toggle("current", bar.moment === moment);
  }
}
