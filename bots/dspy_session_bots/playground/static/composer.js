// The box that messages are written in.

import { act, say } from "/static/api.js";
import { attached, detach, hasFiles } from "/static/attachments.js";
import { byId } from "/static/dom.js";
import { chosen, offer, paletteKey } from "/static/palette.js";
import { nameOf, person } from "/static/people.js";
import { complain, tell } from "/static/problem.js";
import { changeLast } from "/static/question.js";

const form = byId("composer");
const box = byId("message");
const drafts = new Map(); // thread → what is written and not yet sent

let thread = "";

/** Write to this thread from now on; what was written in another one waits there. */
export function writeTo(other) {
  if (other === thread) return;
  drafts.set(thread, box.value);
  thread = other;
  box.value = drafts.get(thread) ?? "";
  tell("");
  changed();
}

/** Send a message; false when the server did not take it. */
export async function send(text, files) {
  try {
    await say(thread, text, files);
    return true;
  } catch (error) {
    complain("Not sent")(error);
    return false;
  }
}

async function submit() {
  const command = chosen();
  const text = box.value.trim();
  if (!text && !hasFiles()) return;
  tell("");
  box.value = "";
  changed();
  const done = command ? await order(command) : await sendAll(text);
  if (!done && !box.value) {
    box.value = text; // nothing that was written is lost
    changed();
  }
}

async function sendAll(text) {
  const files = hasFiles() ? await attached() : [];
  if (!text && files.length === 0) return true;
  if (!(await send(text, files))) return false;
  if (files.length > 0) detach();
  return true;
}

async function order({ name, text }) {
  try {
    await act(thread, { kind: "command", name, text });
    return true;
  } catch (error) {
    complain("Not done")(error);
    return false;
  }
}

function changed() {
  fit();
  offer();
}

/** As high as what is written in it; the style sheet says how high at most. */
function fit() {
  box.rows = 1;
  const line = parseFloat(getComputedStyle(box).lineHeight);
  const padding = box.offsetHeight - line;
  box.rows = Math.max(1, Math.round((box.scrollHeight - padding) / line));
  byId("send").disabled = !box.value.trim() && !hasFiles();
}

function greet() {
  const name = nameOf(person().id);
  box.placeholder = `Write as ${name}, / for commands`;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});

box.addEventListener("input", changed);
box.addEventListener("keydown", (event) => {
  if (event.isComposing) return; // Enter chooses a character then
  if (paletteKey(event)) event.preventDefault();
  else if (event.key === "Enter" && !event.shiftKey) {
    event.preventDefault();
    submit();
  } else if (event.key === "ArrowUp" && !box.value && changeLast()) event.preventDefault();
});

document.addEventListener("attached", fit);
document.addEventListener("person", greet);
greet();
fit();
