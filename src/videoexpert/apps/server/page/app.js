// What the page does: open a video, ask, show, play. The server's /v1 does the work.

import { download, follow, get, post } from "./api.js";
import { $, h, notice } from "./dom.js";
import { Player } from "./player.js";
import { render } from "./results.js";
import { Start } from "./start.js";
import { Timeline } from "./timeline.js";

const THEME = "videoexpert.theme", JOB = "videoexpert.job";
const WAITING = { ground: "Looking for it…", caption: "Watching and describing…", ask: "Thinking about it…", clip: "Cutting…" };

let video = null, info = null, shown = null, going = null, current = null;
// A page that goes away loses its event stream first: its question is not over, the next page takes it up.
let leaving = false;
addEventListener("beforeunload", () => { leaving = true; });
addEventListener("pageshow", () => { leaving = false; });
const timeline = new Timeline({ seek: (second) => player.seek(second), play: (moment) => play(moment) });
const player = new Player((second) => timeline.at(second));

// ---------------------------------------------------------------- opening

async function open(which, second, queries) {
  leave();
  video = which;
  document.title = `${video.name} – VideoExpert`;
  $("title").textContent = video.name;
  $("start").hidden = true;
  $("work").hidden = false;
  player.load(video.id, second);
  timeline.show(video.duration, []);
  setHash(second);
  showFamiliarity(video.familiar);
  if (queries && queries.length) {
    $("query").value = queries.join("\n");
    find();
  } else $("query").focus();
}

function leave() {
  if (going) going.cancel();
  player.unload();
  video = shown = current = null;
  $("results").replaceChildren();
  for (const id of ["tools", "unfamiliar", "busy"]) $(id).hidden = true;
  for (const id of ["query", "question", "choices"]) $(id).value = "";
  choose($("tab-find"));
  notice("");
}

function home() {
  leave();
  document.title = "VideoExpert";
  $("title").textContent = "";
  $("work").hidden = true;
  history.replaceState(null, "", location.pathname);
  start.show();
}

function showFamiliarity(familiar) {
  $("unfamiliar").hidden = familiar !== false;
  $("unfamiliar").textContent = "This model has not been trained on videos like this one. Its answers here are guesses: " +
    "start the server with a model for real videos (videoexpert models).";
}

// ---------------------------------------------------------------- asking

async function run(task, args) {
  if (going) going.cancel();
  notice("");
  let job;
  try {
    job = await post("/jobs", { task, video: video.id, arguments: args });
  } catch (error) {
    notice(error.message);
    return null;
  }
  return wait(task, job.id);
}

async function wait(task, id) {
  $("busy").hidden = false;
  $("busy-text").textContent = WAITING[task];
  $("busy-bar").hidden = true;
  $("results").setAttribute("aria-busy", "true");
  if (task !== "clip") sessionStorage.setItem(JOB, JSON.stringify({ id, task, video: video.id }));
  const mine = follow(id, looked(task));
  going = mine;
  try {
    return await mine.done;
  } catch (error) {
    if (error.name !== "AbortError" && !leaving) notice(error.message);
    return null;
  } finally {
    if (going === mine && !leaving) {
      going = null;
      $("busy").hidden = true;
      $("results").removeAttribute("aria-busy");
      sessionStorage.removeItem(JOB);
    }
  }
}

// Minutes are worth telling of a long video only.
const looked = (task) => ({ fraction, minutes, of }) => {
  $("busy-bar").value = fraction;
  $("busy-bar").hidden = fraction >= 1;
  $("busy-text").textContent = fraction < 1 ? `Looked at ${minutes.toFixed(1)} of ${of.toFixed(1)} min` : WAITING[task];
};

async function answer(task, args) {
  const asked = video;
  const found = await run(task, args);
  if (found && video === asked) show(task, found);
}

const lines = (id) => $(id).value.split("\n").map((line) => line.trim()).filter(Boolean);

function find() {
  const queries = lines("query");
  if (!queries.length) return notice("Type what you are looking for, a sentence a line.");
  setHash(player.video.currentTime || undefined, queries);
  return answer("ground", { queries, top_k: 20 });
}

function askQuestion() {
  const question = $("question").value.trim(), choices = lines("choices");
  if (!question) return notice("Type a question.");
  if (choices.length === 1) return notice("Give at least two answers to choose from, or none.");
  return answer("ask", { question, choices: choices.length ? choices : null });
}

// ---------------------------------------------------------------- showing

function show(task, found) {
  shown = { task, found };
  showFamiliarity(found.familiar ?? video.familiar);
  draw();
  fillFormats(task);
}

function draw() {
  const least = Number($("least").value) / 100;
  $("least-value").textContent = `${$("least").value}%`;
  if (!shown) return;
  const made = render(shown.task, shown.found, video, least, { play, share, clip, evidence: info.evidence ? evidence : null });
  $("results").replaceChildren(...made.nodes);
  timeline.show(video.duration, made.lanes);
  $("tools").hidden = false;
  mark();
}

function play(moment) {
  current = moment;
  player.playSpan(moment.start, moment.end);
  setHash(moment.start);
  mark();
  if (matchMedia("(max-width: 899px)").matches) player.video.scrollIntoView({ block: "start" });
}

function mark() {
  timeline.mark(current);
  for (const item of $("results").querySelectorAll(".moment")) item.classList.toggle("current", item.moment === current);
}

function step(by) {
  const moments = [...$("results").querySelectorAll(".moment")].map((item) => item.moment);
  if (moments.length) play(moments[(moments.indexOf(current) + by + moments.length) % moments.length]);
}

async function share(moment) {
  setHash(moment.start);
  try {
    await navigator.clipboard.writeText(location.href);
    notice("Link copied.");
  } catch {
    notice(`Copy this link: ${location.href}`);
  }
}

async function clip(moment) {
  const job = await post("/jobs", { task: "clip", video: video.id, arguments: { start: moment.start, end: moment.end, exact: true } }).catch((error) => notice(error.message));
  if (job && (await wait("clip", job.id))) location.assign(`/v1/jobs/${job.id}/clip`);
}

async function evidence(query) {
  try {
    return (await post(`/videos/${video.id}/evidence`, { queries: [query] })).queries[0].evidence;
  } catch (error) {
    notice(error.message);
    return null;
  }
}

function fillFormats(task) {
  const kept = $("format").value;
  const fitting = info.formats.filter((format) => format.tasks.includes(task));
  $("format").replaceChildren(...fitting.map((format) => h("option", { value: format.name }, format.title)));
  $("format").hidden = $("export").hidden = !fitting.length;
  if (fitting.some((format) => format.name === kept)) $("format").value = kept;
}

// ---------------------------------------------------------------- address and keys

function setHash(second, queries = readHash().q) {
  const parts = new URLSearchParams({ v: video.id });
  if (queries && queries.length) parts.set("q", queries.join("|"));
  if (second !== undefined) parts.set("t", second.toFixed(2));
  history.replaceState(null, "", `#${parts}`);
}

function readHash() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const t = Number.parseFloat(parts.get("t"));
  return { v: parts.get("v"), t: Number.isFinite(t) ? t : undefined, q: (parts.get("q") || "").split("|").filter(Boolean) };
}

function keys(event) {
  if (!video || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest("input, textarea, select, button, [role=tab], [role=button], video")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "n") step(1);
  else if (key === "p") step(-1);
  else if (!player.key(key)) return;
  event.preventDefault();
}

function choose(tab) {
  for (const one of document.querySelectorAll("[role=tab]")) {
    one.setAttribute("aria-selected", String(one === tab));
    one.tabIndex = one === tab ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = one !== tab;
  }
}

function tabs() {
  const all = [...document.querySelectorAll("[role=tab]")];
  all.forEach((tab, i) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const next = all[(i + by + all.length) % all.length];
      choose(next);
      next.focus();
    });
  });
}

function theme() {
  const set = (name) => (name ? document.documentElement.setAttribute("data-theme", name) : null);
  set(localStorage.getItem(THEME));
  $("theme").addEventListener("click", () => {
    const dark = document.documentElement.dataset.theme
      ? document.documentElement.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    localStorage.setItem(THEME, dark ? "light" : "dark");
    set(localStorage.getItem(THEME));
  });
}

// ---------------------------------------------------------------- start

let start;

async function begin() {
  theme();
  tabs();
  $("home").addEventListener("click", home);
  $("find-form").addEventListener("submit", (event) => { event.preventDefault(); find(); });
  $("ask-form").addEventListener("submit", (event) => { event.preventDefault(); askQuestion(); });
  $("chapters-go").addEventListener("click", () => answer("caption", {}));
  $("cancel").addEventListener("click", () => going && going.cancel());
  $("least").addEventListener("input", draw);
  $("export").addEventListener("click", () => download(`/videos/${video.id}/export`, { format: $("format").value, document: shown.found }).catch((error) => notice(error.message)));
  $("query").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey) { event.preventDefault(); find(); }
  });
  document.addEventListener("keydown", keys);
  const ready = get("/info");
  start = new Start(open, ready);
  try {
    info = await ready;
  } catch (error) {
    notice(error.message);
    return;
  }
  $("model").textContent = `Model: ${info.model}`;
  for (const [id, verb] of [["tab-chapters", "caption"], ["tab-ask", "ask"]]) $(id).hidden = !info.can.includes(verb);
  $("examples").replaceChildren(...(info.examples || []).map((text) => h("button", { type: "button", onclick: () => { $("query").value = text; find(); } }, text)));
  await restore();
}

async function restore() {
  const wanted = readHash();
  const id = wanted.v || info.opened;
  if (!id) return start.show();
  let found;
  try {
    found = await get(`/videos/${encodeURIComponent(id)}`);
  } catch (error) {
    notice(error.message);
    return start.show();
  }
  const left = JSON.parse(sessionStorage.getItem(JOB) || "null");
  if (left && left.video === found.id) {
    await open(found, wanted.t);
    $("query").value = wanted.q.join("\n");
    const answered = await wait(left.task, left.id);
    if (answered && video && video.id === found.id) show(left.task, answered);
    return null;
  }
  return open(found, wanted.t, wanted.q);
}

begin();
