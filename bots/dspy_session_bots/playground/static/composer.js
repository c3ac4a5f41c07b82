// The box that messages are written in.

import { byId } from "/static/dom.js";

const form = byId("composer");
const box = byId("message");
const problem = byId("problem");
const drafts = new Map(); // thread → what is written and not yet sent

let thread = "";

/** Write to this thread from now on; what was written in another one waits there. */
export function writeTo(other) {
  if (other === thread) return;
  drafts.set(thread, box.value);
  thread = other;
  box.value = drafts.get(thread) ?? "";
  forgetProblem();
  fit();
}

/** Send a message; false when the server did not take it. */
export async function send(text) {
  const to = thread;
  try {
    const response = await fetch(`/api/threads/${to}/messages`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ text }),
    });
    if (response.ok) return true;
    const said = await response.json().catch(() => ({}));
    say(`Not sent: ${said.error ?? `the server answered ${response.status}`}.`);
  } catch {
    say("Not sent: the server does not answer.");
  }
  return false;
}

/** What went wrong is over. */
export const forgetProblem = () => say("");

async function submit() {
  const text = box.value.trim();
  if (!text) return;
  forgetProblem();
  box.value = "";
  fit();
  if (!(await send(text)) && !box.value) {
    box.value = text; // nothing that was written is lost
    fit();
  }
}

function say(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

/** As high as what is written in it; the style sheet says how high at most. */
function fit() {
  box.rows = 1;
  const line = parseFloat(getComputedStyle(box).lineHeight);
  const padding = box.offsetHeight - line;
  box.rows = Math.max(1, Math.round((box.scrollHeight - padding) / line));
  byId("send").disabled = !box.value.trim();
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});

box.addEventListener("input", fit);
box.addEventListener("keydown", (event) => {
  // While an input method composes a character, Enter chooses it.
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    submit();
  }
});

fit();
