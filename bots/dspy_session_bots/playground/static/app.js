// Brings the parts of the page together: which thread is shown, what the server says, and the keyboard.

import { putExchange, showConversation } from "/static/chat.js";
import { forgetProblem, send, writeTo } from "/static/composer.js";
import { byId } from "/static/dom.js";
import { putDelivery, putTurn, showInspector } from "/static/inspector.js";
import { Stream } from "/static/stream.js";
import { putThread, showThreads } from "/static/threads.js";

const stream = new Stream(
  {
    whole: showWhole,
    thread: putThread,
    exchange: putExchange,
    turn: putTurn,
    delivery: putDelivery,
  },
  (onLine) => {
    byId("offline").hidden = onLine;
    if (onLine) forgetProblem();
  },
);

let arrived = false;

function showWhole(whole) {
  if (!arrived && !location.hash && whole.threads.length > 0) {
    arrived = true;
    goTo(whole.threads[0].id); // go on where one left off
    return;
  }
  arrived = true;
  document.title = `${whole.agent} · Playground`;
  byId("agent").textContent = whole.agent;
  byId("model").hidden = !whole.model;
  byId("model-name").textContent = whole.model;
  showThreads(whole.threads, whole.thread.id);
  showInspector(whole.thread.turns, whole.deliveries); // first: answers say which turn they became
  showConversation(whole.thread);
}

// --- which thread ----------------------------------------------------------------------------------------------------

const isThread = (text) => /^[A-Za-z0-9_-]{1,64}$/.test(text);
const newThread = () => crypto.randomUUID().slice(0, 13);

/** Show a thread, and leave a way back. */
function goTo(thread) {
  location.hash = thread;
}

function show() {
  const named = location.hash.slice(1);
  const thread = isThread(named) ? named : newThread();
  writeTo(thread);
  stream.open(thread);
  closeDrawers();
}

function startThread() {
  goTo(newThread());
  byId("message").focus();
}

window.addEventListener("hashchange", show);
byId("new-thread").addEventListener("click", startThread);
byId("elsewhere").addEventListener("click", startThread);
for (const button of document.querySelectorAll("[data-say]")) {
  button.addEventListener("click", () => send(button.textContent.trim()));
}

// --- the panels at the sides, drawers where there is no room -------------------------------------------------------------

const drawers = ["threads", "inspector"];

function openDrawer(name) {
  closeDrawers();
  byId(name).classList.add("open");
  byId(`show-${name}`).setAttribute("aria-expanded", "true");
  byId("curtain").hidden = false;
}

function closeDrawers() {
  for (const name of drawers) {
    byId(name).classList.remove("open");
    byId(`show-${name}`).setAttribute("aria-expanded", "false");
  }
  byId("curtain").hidden = true;
}

for (const name of drawers) {
  byId(`show-${name}`).addEventListener("click", () => {
    if (byId(name).classList.contains("open")) closeDrawers();
    else openDrawer(name);
  });
}
byId("curtain").addEventListener("click", closeDrawers);
document.addEventListener("show-inspector", () => openDrawer("inspector"));

// --- the keyboard ------------------------------------------------------------------------------------------------------

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeDrawers();
  else if (event.altKey && event.code === "KeyN") startThread();
  else if (event.key === "/" && !/^(TEXTAREA|INPUT)$/.test(document.activeElement.tagName)) byId("message").focus();
  else return;
  event.preventDefault();
});

show();
