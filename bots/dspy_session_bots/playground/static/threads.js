// The list of threads.

import { byId, make } from "/static/dom.js";
import { ago, fullTime } from "/static/time.js";

const list = byId("thread-list");
const threads = new Map();
let chosen = "";

/** Show these threads, and nothing of what was shown before. */
export function showThreads(all, thread) {
  threads.clear();
  for (const one of all) threads.set(one.id, one);
  chosen = thread;
  draw();
}

/** A thread is new, or was used. */
export function putThread(thread) {
  threads.set(thread.id, thread);
  draw();
}

/** Nothing is left in a thread. */
export function dropThread(id) {
  threads.delete(id);
  draw();
}

function draw() {
  const focused = document.activeElement?.dataset?.thread;
  const newestFirst = [...threads.values()].sort((one, other) => other.at - one.at);
  list.replaceChildren(...newestFirst.map(item));
  byId("no-threads").hidden = threads.size > 0;
  if (focused) list.querySelector(`[data-thread="${focused}"]`)?.focus();
}

function item(thread) {
  const link = make(
    "a",
    { href: `#${thread.id}`, "data-thread": thread.id, title: thread.title },
    make("span", { class: "title" }, thread.title),
    make("time", { class: "when", title: fullTime(thread.at) }, ago(thread.at)),
  );
  if (thread.id === chosen) link.setAttribute("aria-current", "page");
  return make("li", {}, link);
}

list.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  const links = [...list.querySelectorAll("a")];
  links[links.indexOf(document.activeElement) + step]?.focus();
  event.preventDefault();
});

setInterval(draw, 30_000); // "now" becomes "1 min. ago"
