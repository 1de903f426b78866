// The first screen: drop or choose a video, pick one that is registered, walk the server's folders, search its library.

import { get, post, thumbnail, upload } from "./api.js";
import { $, clock, h, icon, megabytes, notice, percent, still } from "./dom.js";
import { unknown } from "./results.js";

export class Start {
  // `ready` is the promise of what the server says of itself: a file may be chosen before it has answered.
  constructor(open, ready) {
    this.open = open;
    this.ready = ready;
    const drop = $("drop");
    for (const name of ["dragenter", "dragover"]) {
      document.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
    }
    for (const name of ["dragleave", "drop"]) document.addEventListener(name, () => drop.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) this.send(event.dataTransfer.files[0]);
    });
    $("file").addEventListener("change", (event) => event.target.files.length && this.send(event.target.files[0]));
    $("library").addEventListener("submit", (event) => { event.preventDefault(); this.search($("library-query").value.trim()); });
  }

  async show() {
    $("start").hidden = false;
    try {
      const info = await this.ready;
      $("library").hidden = !info.library;
      $("roots").hidden = !info.roots.length;
      this.roots = info.roots;
      this.recent(await get("/videos"));
      if (info.roots.length) await this.walk(0, "");
    } catch (error) {
      notice(error.message);
    }
  }

  recent(videos) {
    const items = videos.slice(0, 30).map((video) => h("li", {}, h("button", { type: "button", onclick: () => this.open(video) },
      still(thumbnail(video.id, video.duration / 3, 160)),
      h("span", { className: "name" }, video.name),
      h("span", { className: "faint" }, clock(video.duration, false)))));
    $("recent").replaceChildren(...(items.length ? items : [h("li", { className: "faint" }, "No video yet.")]));
  }

  async walk(root, path) {
    let found;
    try {
      found = await get(`/roots/${root}?path=${encodeURIComponent(path)}`);
    } catch (error) {
      notice(error.message);
      return;
    }
    const parts = path ? path.split("/") : [];
    const crumb = (text, at, to) => h("button", { type: "button", onclick: () => this.walk(at, to) }, text);
    const tops = this.roots.map((name, at) => crumb(name, at, ""));
    $("crumbs").replaceChildren(...tops, ...parts.map((part, i) => crumb(` / ${part}`, root, parts.slice(0, i + 1).join("/"))));
    $("entries").replaceChildren(...found.map((entry) => h("li", {}, h("button", {
      type: "button",
      onclick: () => (entry.folder ? this.walk(root, entry.path) : this.register(root, entry.path)),
    }, icon(entry.folder ? "folder" : "film"), h("span", { className: "name" }, entry.path.split("/").pop()),
    h("span", { className: "faint" }, entry.folder ? "folder" : megabytes(entry.size))))));
    if (!found.length) $("entries").replaceChildren(h("li", { className: "faint" }, "No videos in this folder."));
  }

  async register(root, path) {
    notice("");
    try {
      this.open(await post("/videos", { root, path }));
    } catch (error) {
      notice(error.message);
    }
  }

  async send(file) {
    notice("");
    let limit;
    try {
      limit = (await this.ready).max_upload_bytes;
    } catch (error) {
      notice(error.message);
      return;
    }
    if (file.size > limit) {
      notice(`${file.name} has ${megabytes(file.size)}; this server takes up to ${megabytes(limit)}.`);
      return;
    }
    $("start").hidden = false;
    $("work").hidden = true;
    $("upload").hidden = false;
    $("upload-name").textContent = `${file.name} (${megabytes(file.size)})`;
    const going = upload(file, (share) => {
      $("upload-bar").value = share;
      if (share >= 1) $("upload-name").textContent = `${file.name}: looking into it…`;
    });
    $("upload-cancel").onclick = going.cancel;
    try {
      this.open(await going.done);
    } catch (error) {
      if (error.name !== "AbortError") notice(error.message);
      else notice("The upload was cancelled.");
    } finally {
      $("upload").hidden = true;
      $("upload-bar").value = 0;
      $("file").value = "";
    }
  }

  async search(query) {
    if (!query) return;
    notice("");
    try {
      const found = await post("/search", { query });
      const items = found.results.map((hit) => h("li", { className: "moment" }, h("button", {
        type: "button", className: "play", onclick: () => this.open(hit.video, hit.start, [query]),
      }, still(thumbnail(hit.video.id, (hit.start + hit.end) / 2)),
      h("span", {}, h("span", { className: "time" }, `${clock(hit.start)} – ${clock(hit.end)}`),
        h("span", { className: "text" }, hit.video.name), h("span", { className: "score" },
          hit.familiar === false ? "a guess: the model was never shown videos like this one" : `score ${percent(hit.score)}`)))));
      if (found.unknown_words) items.unshift(h("li", {}, unknown(found)));
      if (found.left_out) items.push(h("li", { className: "absent" }, `${found.left_out} more in videos that cannot be opened here: gone, or in an object store.`));
      $("library-results").replaceChildren(...(items.length ? items : [h("li", { className: "absent" }, "Nothing like this in the library.")]));
    } catch (error) {
      notice(error.message);
    }
  }
}
