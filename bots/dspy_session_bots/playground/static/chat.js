// The conversation: each message, and under it the answer as it is written.

import { answerPlace, asksFirst, fillAnswer } from "/static/answer.js";
import { byId, make } from "/static/dom.js";
import { guide } from "/static/guide.js";
import { fillQuestion, questionPlace } from "/static/question.js";

const chat = byId("chat");
const conversation = byId("conversation");
const latest = byId("latest");
const shown = new Map(); // id → {exchange, article}

let current = ""; // the thread
let readable = true;

/** Show a thread, and nothing of what was shown before. */
export function showConversation(thread) {
  const place = thread.id === current && !atTheEnd() ? chat.scrollTop : null; // somebody reads what was said before
  current = thread.id;
  shown.clear();
  conversation.replaceChildren();
  readable = !thread.trouble;
  if (thread.trouble) conversation.append(make("p", { class: "notice" }, thread.trouble));
  if (thread.hidden) {
    const earlier = thread.hidden === 1 ? "1 earlier turn is" : `${thread.hidden} earlier turns are`;
    conversation.append(make("p", { class: "earlier" }, `${earlier} not shown here.`));
  }
  for (const exchange of thread.exchanges) put(exchange);
  guideOn();
  if (place === null) toTheEnd();
  else chat.scrollTop = place;
}

/** An exchange is new, or further than it was. */
export function putExchange(exchange) {
  const following = atTheEnd() || !shown.has(exchange.id);
  put(exchange);
  for (const { article, exchange: other } of shown.values()) if (other.phase === "waiting") fill(article, other);
  guideOn();
  if (following) toTheEnd();
}

/** Nothing is left of an exchange. */
export function dropExchange(id) {
  shown.get(id)?.article.remove();
  shown.delete(id);
  guideOn();
}

/** The buttons that stop what is being written; the last one is that of the newest answer. */
export const stopButtons = () => [...conversation.querySelectorAll('[data-action="stop"]')];

function put(exchange) {
  const article = shown.get(exchange.id)?.article ?? make("article", { class: "exchange" }, questionPlace(), answerPlace());
  if (!article.isConnected) conversation.append(article);
  shown.set(exchange.id, { exchange, article });
  fill(article, exchange);
}

function fill(article, exchange) {
  const [question, answer] = article.children;
  article.dataset.phase = exchange.phase;
  article.dataset.remembered = exchange.remembered;
  article.setAttribute("aria-busy", String(exchange.phase === "waiting" || exchange.phase === "working"));
  fillQuestion(question, exchange, current);
  fillAnswer(answer, exchange, current, isHeld(exchange));
}

/** Whether an earlier answer waits for people, and this one behind it. */
function isHeld({ id, phase }) {
  if (phase !== "waiting") return false;
  for (const { exchange } of shown.values()) {
    if (exchange.id === id) return false;
    if (asksFirst(exchange)) return true;
  }
  return false;
}

function guideOn() {
  guide([...shown.values()].map((one) => one.exchange), readable);
}

const atTheEnd = () => chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;

function toTheEnd() {
  chat.scrollTop = chat.scrollHeight;
}

function fillAll() {
  for (const { article, exchange } of shown.values()) fill(article, exchange);
}

// Somebody else writes now, or is called something else: what is one's own changes.
document.addEventListener("person", fillAll);
document.addEventListener("shown-anew", ({ detail }) => {
  const known = shown.get(detail);
  if (known) fill(known.article, known.exchange);
});

// A link to a thread of this page leads there, and opens no other page.
conversation.addEventListener("click", (event) => {
  const link = event.target.closest("a[href]");
  if (!link) return;
  const to = new URL(link.href);
  const here = to.port === location.port && ["127.0.0.1", "localhost", "[::1]"].includes(to.hostname);
  if (!here || to.pathname !== "/" || !to.hash) return;
  event.preventDefault();
  location.hash = to.hash;
});

chat.addEventListener("scroll", () => {
  latest.hidden = atTheEnd();
});
latest.addEventListener("click", toTheEnd);
