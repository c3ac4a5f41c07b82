// The conversation: each message, and under it the answer as it is written.

import { byId, fillWithAnswer, make } from "/static/dom.js";
import { guide } from "/static/guide.js";
import { openTurn, turnIndex } from "/static/inspector.js";
import { clockTime, fullTime } from "/static/time.js";

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
  guideOn();
  if (following) toTheEnd();
}

function put(exchange) {
  const article = shown.get(exchange.id)?.article ?? make("article", { class: "exchange" }, question(exchange), answer());
  if (!article.isConnected) conversation.append(article);
  shown.set(exchange.id, { exchange, article });
  fill(article, exchange);
}

function guideOn() {
  guide([...shown.values()].map((one) => one.exchange), readable);
}

function question(exchange) {
  const when = exchange.at === null ? null : make("time", { title: fullTime(exchange.at) }, clockTime(exchange.at));
  return make("div", { class: "question" }, make("p", { class: "text" }, exchange.text), when);
}

function answer() {
  return make(
    "div",
    { class: "answer" },
    make("div", { class: "prose" }),
    make("p", { class: "status" }, make("span", { class: "pulse", "aria-hidden": "true" }), make("span")),
    make("button", { class: "to-turn", type: "button", title: "Show it in the turn log" }),
  );
}

function fill(article, exchange) {
  const [prose, status, toTurn] = article.querySelector(".answer").children;
  const busy = exchange.phase === "waiting" || exchange.phase === "working";
  article.dataset.phase = exchange.phase;
  article.setAttribute("aria-busy", String(busy));
  fillWithAnswer(prose, exchange.html);
  for (const code of prose.querySelectorAll("pre")) code.tabIndex = 0; // wide code is scrolled with the keyboard too
  status.hidden = !busy;
  status.lastElementChild.textContent = statusText(exchange);
  const index = turnIndex(exchange.turn);
  toTurn.hidden = index === undefined;
  toTurn.textContent = `turn ${index}`;
  toTurn.onclick = () => openTurn(exchange.turn);
}

function statusText(exchange) {
  if (exchange.phase === "waiting") return "Waiting for the answer before this one";
  return exchange.status || (exchange.html ? "Writing" : "Thinking");
}

const atTheEnd = () => chat.scrollHeight - chat.scrollTop - chat.clientHeight < 80;

function toTheEnd() {
  chat.scrollTop = chat.scrollHeight;
}

chat.addEventListener("scroll", () => {
  latest.hidden = atTheEnd();
});
latest.addEventListener("click", toTheEnd);
