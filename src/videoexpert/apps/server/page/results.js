// The list beside the video: ranked moments of each sentence, chapters, an answer with its choices.

import { thumbnail } from "./api.js";
import { clock, h, icon, percent, still } from "./dom.js";
import { TONES } from "./timeline.js";

/** One row; `actions` are {play, share, clip}. */
function row(video, moment, actions) {
  const words = moment.text ? h("span", { className: "text" }, moment.text) : null;
  const item = h("li", { className: "moment" },
    h("button", { type: "button", className: "play", onclick: () => actions.play(moment) },
      still(thumbnail(video.id, (moment.start + moment.end) / 2), { width: 96, height: 54 }),
      h("span", {}, h("span", { className: "time" }, `${clock(moment.start)} – ${clock(moment.end)}`), words,
        h("span", { className: "score" }, `score ${percent(moment.score)}`))),
    h("span", { className: "more" },
      h("button", { type: "button", title: "Copy a link to this moment", "aria-label": `Copy a link to ${clock(moment.start)}`, onclick: () => actions.share(moment) }, icon("link")),
      h("button", { type: "button", title: "Save this moment as a file", "aria-label": `Save ${clock(moment.start)} to ${clock(moment.end)} as a file`, onclick: () => actions.clip(moment) }, icon("save"))));
  item.moment = moment;
  return item;
}

function list(video, moments, least, actions, label) {
  const kept = moments.filter((moment) => moment.score >= least);
  if (!kept.length) return h("p", { className: "absent" }, `All ${moments.length} moments score below ${percent(least)}; move the slider to see them.`);
  return h("ol", { className: "moments", "aria-label": label }, ...kept.map((moment) => row(video, moment, actions)));
}

function absent(query) {
  const guess = query.moments[0];
  const words = `Not in this video, as far as the model can tell (probability ${percent(query.presence)}).`;
  return h("p", { className: "absent" }, guess ? `${words} Its best guess would be ${clock(guess.start)} – ${clock(guess.end)}.` : words);
}

/** What is said of a question with words that the model was never shown; null where it knows them all. */
export function unknown(answer) {
  const words = answer.unknown_words || [];
  if (!words.length) return null;
  const named = words.slice(0, 6).map((word) => `“${word}”`).join(", ") + (words.length > 6 ? ` and ${words.length - 6} more` : "");
  return h("p", { className: "absent" }, `The model does not know the word${words.length > 1 ? "s" : ""} ${named}: ${answer.guess === false ? "this answers the rest" : "what it finds is a guess"}.`);
}

/** Nodes and timeline lanes of an answer document. */
export function render(task, document, video, least, actions) {
  if (task === "ground") return grounded(document, video, least, actions);
  if (task === "caption") return captioned(document, video, least, actions);
  return asked(document, video, least, actions);
}

function grounded(document, video, least, actions) {
  const nodes = [], lanes = [];
  document.queries.forEach((query, i) => {
    const tone = i % TONES, claimed = query.absent && document.familiar !== false;
    const shown = claimed ? [] : query.moments.filter((moment) => moment.score >= least);
    lanes.push({ name: query.query, tone, curve: query.curve || null, moments: shown });
    nodes.push(h("section", { className: `tone-${tone}` }, h("h3", {}, query.query),
      unknown(query), claimed ? absent(query) : list(video, query.moments, least, actions, query.query), evidence(query, actions)));
  });
  return { nodes, lanes };
}

function evidence(query, actions) {
  if (!actions.evidence) return null;
  const holder = h("div", {});
  const ask = h("button", { type: "button", className: "link", onclick: async () => {
    ask.disabled = true;
    const found = await actions.evidence(query.query);
    if (!found) { ask.disabled = false; return; }
    holder.replaceChildren(h("p", { className: "evidence" },
      `Without the video the model would give this a probability of ${percent(found.blank_presence)} instead of ${percent(found.presence)}` +
      (found.blank_moment ? `, and guess ${clock(found.blank_moment.start)} – ${clock(found.blank_moment.end)} (overlap ${percent(found.overlap)}).` : ".")));
  } }, "Does this come from the video?");
  holder.append(ask);
  return holder;
}

function captioned(document, video, least, actions) {
  const ordered = [...document.captions].sort((a, b) => a.start - b.start);
  if (!ordered.length) return { nodes: [h("p", { className: "absent" }, "The model describes no event in this video.")], lanes: [] };
  return {
    nodes: [h("section", { className: "tone-0" }, h("h3", {}, "Chapters"), list(video, ordered, least, actions, "Chapters"))],
    lanes: [{ name: "Chapters", tone: 0, curve: null, moments: ordered.filter((moment) => moment.score >= least) }],
  };
}

/** A bar and a number; nothing where the model has named its choice and scored none. */
function scored(choice) {
  if (choice.score === undefined) return [];
  return [h("meter", { min: 0, max: 1, value: choice.score, "aria-label": `Score of ${choice.text}` }), h("span", {}, percent(choice.score))];
}

function asked(document, video, least, actions) {
  const nodes = [h("h3", { className: "tone-0" }, document.question), h("p", { className: "answer" }, document.answer || "The model has no answer.")];
  if (document.unknown_words) nodes.push(unknown(document));
  document.choices.forEach((choice, i) => nodes.push(h("div", { className: i === document.choice ? "choice best" : "choice" },
    h("span", {}, choice.text), ...scored(choice))));
  if (document.moments.length) nodes.push(h("h3", { className: "tone-0" }, "Seen at"), list(video, document.moments, least, actions, "Where it is seen"));
  return { nodes, lanes: [{ name: document.question, tone: 0, curve: null, moments: document.moments.filter((moment) => moment.score >= least) }] };
}
