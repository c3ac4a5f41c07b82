// Files that go with the next message: dropped, pasted or chosen, and sent to the server at once.

import { bring } from "/static/api.js";
import { button, byId, icon, make } from "/static/dom.js";
import { sizeText } from "/static/files.js";
import { complain, tell } from "/static/problem.js";

const MOST = 10; // files of one message, as the server takes them
const LARGEST = 25 * 2 ** 20; // bytes of one, likewise
const CROSS = "M4.5 4.5l7 7M11.5 4.5l-7 7";

const list = byId("attached");
const chooser = byId("chooser");
const veil = byId("drop");

let waiting = []; // {file, kept, stop}: `kept` is what the server says, null until it has the file

/** Ids of the files that are with the server; those that are still on their way are waited for. */
export async function attached() {
  const files = await Promise.all(waiting.map((one) => one.done));
  return files.filter(Boolean).map((kept) => kept.id);
}

/** Whether there is any file. */
export const hasFiles = () => waiting.length > 0;

/** The files are part of a message now. */
export function detach() {
  waiting = [];
  draw();
}

/** Add files. */
export function attach(files) {
  for (const file of files) {
    if (waiting.length >= MOST) return tell(`${file.name} was left out: ${MOST} files go with a message at most`);
    if (file.size > LARGEST) tell(`${file.name} was left out: it is larger than ${sizeText(LARGEST)}`);
    else add(file);
  }
}

function add(file) {
  const stopping = new AbortController();
  const one = { file, kept: null, stop: () => stopping.abort() };
  one.done = bring(file, stopping.signal).then(
    (kept) => {
      one.kept = kept;
      draw();
      return kept;
    },
    (error) => {
      complain(`${file.name} was left out`)(error);
      drop(one);
      return null;
    },
  );
  waiting.push(one);
  draw();
}

function drop(one) {
  one.stop();
  waiting = waiting.filter((other) => other !== one);
  draw();
}

function draw() {
  list.hidden = waiting.length === 0;
  list.replaceChildren(...waiting.map(chip));
  document.dispatchEvent(new CustomEvent("attached"));
}

function chip(one) {
  const picture = one.kept?.image ? make("img", { src: one.kept.url, alt: "" }) : null;
  const remove = button(`Remove ${one.file.name}`, { class: "small", onclick: () => drop(one) }, icon(CROSS));
  return make(
    "li",
    { class: "attachment", "data-ready": one.kept !== null },
    picture,
    make("span", { class: "file-name" }, one.file.name),
    make("span", { class: "file-size" }, one.kept ? sizeText(one.file.size) : "…"),
    remove,
  );
}

const holdsFiles = (transfer) => [...(transfer?.types ?? [])].includes("Files");

document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event.dataTransfer)) return;
  event.preventDefault();
  veil.hidden = false;
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) veil.hidden = true;
});
document.addEventListener("drop", (event) => {
  veil.hidden = true;
  if (!holdsFiles(event.dataTransfer)) return;
  event.preventDefault();
  attach(event.dataTransfer.files);
  byId("message").focus();
});
byId("message").addEventListener("paste", (event) => {
  if (!event.clipboardData?.files.length) return;
  event.preventDefault();
  attach(event.clipboardData.files);
});
byId("attach").addEventListener("click", () => chooser.click());
chooser.addEventListener("change", () => {
  attach(chooser.files);
  chooser.value = ""; // so that the same file can be chosen again
  byId("message").focus();
});
