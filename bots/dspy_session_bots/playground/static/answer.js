// The answer: its words as they are written, and beneath them whatever else it has.

import { fillAsides } from "/static/aside.js";
import { beneathView } from "/static/beneath.js";
import { fillButtons } from "/static/buttons.js";
import { fillWithAnswer, make, redraw } from "/static/dom.js";
import { openTurn, turnIndex } from "/static/inspector.js";
import { nameOf, person } from "/static/people.js";
import { fillReactions } from "/static/reactions.js";

const shown = new WeakMap(); // prose → the HTML that it was filled with

/** An element for the answer of an exchange; `fillAnswer` fills it. */
export function answerPlace() {
  return make(
    "div",
    { class: "answer" },
    make("div", { class: "asides" }),
    make("div", { class: "prose" }),
    make("div", { class: "beneath" }),
    make("p", { class: "remark" }),
    make(
      "div",
      { class: "below" },
      make("p", { class: "status" }, make("span", { class: "pulse", "aria-hidden": "true" }), make("span")),
      make("div", { class: "buttons" }),
      make("div", { class: "reactions" }),
      make("button", { class: "to-turn", type: "button", title: "Show it in the turn log" }),
    ),
    make("div", { class: "asks" }),
  );
}

/** Show the answer of an exchange, as far as it is; `held` if it is behind one that waits for an approval. */
export function fillAnswer(place, exchange, thread, held) {
  const [asides, prose, beneath, remark, below, asks] = place.children;
  const [status, buttons, reactions, toTurn] = below.children;
  const secret = Boolean(exchange.beneath.private) && exchange.author !== "" && exchange.author !== person().id;
  fillAsides(asides, exchange, thread, secret);
  fillProse(prose, secret ? "" : exchange.html);
  redraw(beneath, { ...exchange.beneath, buttons: null, secret, who: nameOf(exchange.author, exchange.name) }, beneathView);
  status.hidden = !(exchange.phase === "waiting" || exchange.phase === "working");
  status.lastElementChild.textContent = statusText(exchange, held);
  remark.textContent = remarkOn(exchange);
  remark.hidden = !remark.textContent;
  fillButtons(buttons, asks, secret ? { ...exchange, beneath: {} } : exchange, thread);
  fillReactions(reactions, secret ? { ...exchange, answer: "" } : exchange, thread);
  const index = turnIndex(exchange.turn);
  toTurn.hidden = index === undefined;
  toTurn.textContent = `turn ${index + 1}`; // people count from 1
  toTurn.onclick = () => openTurn(exchange.turn);
  place.hidden = exchange.phase === "quiet";
}

function fillProse(prose, html) {
  if (shown.get(prose) === html) return; // what is selected in it stays selected
  shown.set(prose, html);
  fillWithAnswer(prose, html);
  for (const wide of prose.querySelectorAll("pre, table")) wide.tabIndex = 0; // scrolled with the keyboard too
}

function remarkOn({ remembered, stopped, phase }) {
  if (!remembered) return "The agent does not remember this any more.";
  return phase === "answered" && stopped ? "The agent remembers what it had said." : ""; // the answer says why it ends
}

/** Whether the bot asks people something before it goes on with this answer. */
export const asksFirst = ({ phase, asides }) =>
  phase === "working" && asides.some((one) => one.beneath.buttons?.length > 0);

function statusText(exchange, held) {
  if (exchange.phase === "waiting") {
    return held ? "Waiting until the question above is decided" : "Waiting for the answer before this one";
  }
  if (asksFirst(exchange)) return "Waiting for an approval";
  return exchange.status || (exchange.html ? "Writing" : "Thinking");
}
