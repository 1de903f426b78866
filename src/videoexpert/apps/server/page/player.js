// The video element: play a span and stop at its end, keys, and the share link's time.

import { $ } from "./dom.js";

const FRAME_S = 1 / 25, JUMP_S = 5;

export class Player {
  constructor(onTime) {
    this.video = $("player");
    this.stopAt = null;
    this.video.addEventListener("timeupdate", () => {
      onTime(this.video.currentTime);
      if (this.stopAt !== null && this.video.currentTime >= this.stopAt) {
        this.video.pause();
        this.stopAt = null;
      }
    });
    this.video.addEventListener("seeking", () => onTime(this.video.currentTime));
    this.video.addEventListener("error", () => { $("unplayable").hidden = !this.video.src; });
    this.video.addEventListener("loadedmetadata", () => {
      $("unplayable").hidden = this.video.videoWidth > 0;
      if (this.wanted !== undefined) this.seek(this.wanted);
      this.wanted = undefined;
    });
  }

  load(id, second) {
    $("unplayable").hidden = true;
    this.wanted = second;
    this.video.src = `/v1/videos/${id}/file`;
  }

  unload() {
    this.video.pause();
    this.video.removeAttribute("src");
    this.video.load();
  }

  seek(second) {
    this.stopAt = null;
    this.video.currentTime = Math.max(0, second);
  }

  playSpan(start, end) {
    this.seek(start);
    this.stopAt = end;
    this.video.play().catch(() => { /* the browser wants a click first: the picture stands at the start */ });
  }

  /** J K L and arrows; returns whether the key was one of them. */
  key(key) {
    if (key === "k" || key === " ") this.video.paused ? this.video.play().catch(() => {}) : this.video.pause();
    else if (key === "j") this.seek(this.video.currentTime - JUMP_S);
    else if (key === "l") this.seek(this.video.currentTime + JUMP_S);
    else if (key === "ArrowLeft") this.seek(this.video.currentTime - FRAME_S);
    else if (key === "ArrowRight") this.seek(this.video.currentTime + FRAME_S);
    else return false;
    return true;
  }
}
