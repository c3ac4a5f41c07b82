// Brings the parts of the page together: which thread is shown, and what the server says.

import { dropExchange, putExchange, showConversation } from "/static/chat.js";
import { send, writeTo } from "/static/composer.js";
import { byId } from "/static/dom.js";
import { closeDrawers } from "/static/drawers.js";
import { dropTurn, putDelivery, putTurn, showInspector } from "/static/inspector.js";
import { listen } from "/static/keyboard.js";
import { showCommands } from "/static/palette.js";
import { tell } from "/static/problem.js";
import { Stream } from "/static/stream.js";
import { dropThread, putThread, showThreads } from "/static/threads.js";

const stream = new Stream(
  {
    whole: showWhole,
    thread: putThread,
    unlisted: ({ id }) => dropThread(id),
    exchange: putExchange,
    gone: ({ exchanges, turns }) => {
      exchanges.forEach(dropExchange);
      turns.forEach(dropTurn);
    },
    turn: putTurn,
    delivery: putDelivery,
  },
  (onLine) => {
    byId("offline").hidden = onLine;
    if (onLine) tell("");
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
  showCommands(whole.commands);
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

listen(startThread);
document.documentElement.dataset.ready = "yes";
if (document.documentElement.dataset.wants === "new-thread") startThread(); // clicked before anybody listened
else show();
