// Elements and words. Text always goes through textContent: a query, a title or a file name is never markup.

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes ("aria-..." and the like) and children. */
export function h(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made && !name.startsWith("aria")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A picture of a video. One that cannot be had, as of a file that has changed, leaves its place empty. */
export function still(src, properties = {}) {
  return h("img", { src, alt: "", loading: "lazy", onerror: (event) => event.target.removeAttribute("src"), ...properties });
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const ICONS = {
  folder: "M3 6.5h6l2 2.5h10v10H3z",
  film: "M4 5h16v14H4zM8 5v14M16 5v14M4 9.7h4M4 14.3h4M16 9.7h4M16 14.3h4",
  link: "M10 14a4 4 0 0 0 5.7 0l3-3a4 4 0 0 0-5.7-5.7l-1 1M14 10a4 4 0 0 0-5.7 0l-3 3a4 4 0 0 0 5.7 5.7l1-1",
  save: "M12 4v10m0 0 4-4m-4 4-4-4M5 19h14",
};

/** A small drawing beside words, hidden from screen readers. Drawn, because emoji fonts are not everywhere. */
export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" }, svg("path", { d: ICONS[name] }));

/** 0:03.2, 12:05, 1:02:05: tenths below ten minutes, as people read them. */
export function clock(seconds, tenths = seconds < 600) {
  const rounded = tenths ? Math.round(seconds * 10) / 10 : Math.round(seconds);
  const hours = Math.floor(rounded / 3600), minutes = Math.floor((rounded % 3600) / 60), rest = rounded % 60;
  const tail = tenths ? rest.toFixed(1).padStart(4, "0") : String(rest).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

export const percent = (share) => `${Math.round(share * 100)}%`;

export function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`;
}

/** One line at the top of the page; an empty one takes it away. */
export function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}
