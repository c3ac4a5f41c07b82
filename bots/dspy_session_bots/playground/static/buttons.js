// The buttons under an answer, as the bot gives them. 👍 and 👎 show what was said of the answer, until it is taken back.

import { act } from "/static/api.js";
import { icon, make, redraw } from "/static/dom.js";
import { verdict } from "/static/feedback.js";
import { person } from "/static/people.js";
import { complain } from "/static/problem.js";

const NAMES = { "👍": "Good answer", "👎": "Bad answer" }; // drawn, for they have the colours of the page then
const THUMB = "M5 7l2.6-5a1.6 1.6 0 0 1 1.6 1.9l-.4 2.5h3.4a1.4 1.4 0 0 1 1.4 1.7l-.9 4.3a1.4 1.4 0 0 1-1.4 1.1H5zM5 7H2.6v6.5H5z";
const QUIET = ["retry", "good", "bad"]; // they are under every answer, and so they keep in the background

/** Show the buttons of an exchange; `asks` is where a question of theirs is asked. */
export function fillButtons(place, asks, exchange, thread) {
  const buttons = exchange.beneath.buttons ?? [];
  const says = verdict(exchange, person().id);
  redraw(place, { buttons, says, who: person().id, turn: exchange.turn }, () =>
    buttons.map((one) => buttonView(one, asks, exchange, thread, says)),
  );
  const asked = asks.dataset.about;
  if (asked && !buttons.some((one) => keyOf(one) === asked)) stopAsking(asks);
}

function buttonView(one, asks, exchange, thread, says) {
  const quiet = QUIET.includes(one.action);
  const judges = one.action === "good" || one.action === "bad";
  const view = make(
    "button",
    { type: "button", class: quiet ? "action quiet" : "action", "data-style": one.style, "data-action": one.action },
    NAMES[one.label] ? icon(THUMB) : one.label,
  );
  const name = NAMES[one.label];
  if (name) {
    view.classList.add("thumb");
    view.setAttribute("aria-label", name);
    view.title = name;
  }
  if (judges) view.setAttribute("aria-pressed", String(says.is === one.action));
  view.addEventListener("click", async () => {
    if (one.asks && one.counts === "when sent") {
      ask(asks, one, thread, view);
      return;
    }
    const takesBack = judges && says.is === one.action;
    view.disabled = true; // pressed twice by mistake is pressed once
    if (judges) says.hope(takesBack ? "" : one.action);
    stopAsking(asks);
    if (one.asks && !takesBack) ask(asks, one, thread, view);
    try {
      await press(thread, one, "");
    } catch (error) {
      if (judges) says.hope(says.is);
      complain("Not done")(error);
    } finally {
      view.disabled = false;
      if (judges) document.dispatchEvent(new CustomEvent("shown-anew", { detail: exchange.id }));
    }
  });
  return view;
}

const away = new WeakMap(); // where a question is asked → the button that stands there meanwhile

const press = (thread, { action, about }, text) => act(thread, { kind: "press", button: action, about, text });
const keyOf = ({ action, about }) => `${action} ${about}`;

/** Ask what a button asks. One that counts when that is sent steps aside meanwhile: its word stands there. */
function ask(asks, one, thread, view) {
  if (asks.dataset.about === keyOf(one)) {
    asks.querySelector(".reason")?.focus(); // what is written there already stays
    return;
  }
  stopAsking(asks);
  const waits = one.counts === "when sent";
  const box = make("input", { class: "reason", maxLength: 1000, "aria-label": one.asks, placeholder: one.asks });
  const send = make("button", { type: "submit", class: "action" }, waits ? one.label : "Send");
  if (waits) send.dataset.style = one.style;
  const leave = () => {
    stopAsking(asks);
    view.focus();
  };
  const cancel = make("button", { type: "button", class: "action quiet", onclick: leave }, waits ? "Cancel" : "Skip");
  const form = make("form", { class: "ask" }, box, send, cancel);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = box.value.trim();
    send.disabled = true;
    try {
      if (text || waits) await press(thread, one, text);
      if (waits) stopAsking(asks);
      else thank(asks, text);
    } catch (error) {
      send.disabled = false;
      complain(waits ? "Not done" : "Not sent")(error);
    }
  });
  form.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    event.stopPropagation();
    leave();
  });
  asks.dataset.about = keyOf(one);
  asks.replaceChildren(form);
  if (waits) away.set(asks, view);
  view.hidden = waits;
  box.focus();
}

function thank(asks, text) {
  stopAsking(asks);
  if (text) asks.replaceChildren(make("p", { class: "thanks", role: "status" }, `Noted: “${text}”`));
}

function stopAsking(asks) {
  delete asks.dataset.about;
  if (away.has(asks)) away.get(asks).hidden = false;
  away.delete(asks);
  asks.replaceChildren();
}
