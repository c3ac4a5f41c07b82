// Emoji under an answer: put there, counted, taken away.

import { act } from "/static/api.js";
import { button, icon, make, redraw } from "/static/dom.js";
import { nameOf, person } from "/static/people.js";
import { complain } from "/static/problem.js";

const OFFERED = { "👍": "thumbs up", "👎": "thumbs down", "🎉": "party", "👀": "eyes", "❤️": "heart" };
const SMILE = "M2 8a6 6 0 1 0 12 0A6 6 0 1 0 2 8M5.5 9.5q2.5 2.5 5 0M6 6.2v.1M10 6.2v.1";

/** Show the reactions under the answer of an exchange. */
export function fillReactions(place, exchange, thread) {
  const { reactions, answer, phase } = exchange;
  const open = Boolean(answer) && phase === "answered";
  redraw(place, { reactions, answer: open ? answer : "", who: person().id }, () =>
    open ? [...Object.entries(reactions).map(([emoji, by]) => chip(emoji, by, answer, thread)), picker(answer, thread)] : [],
  );
}

function chip(emoji, by, answer, thread) {
  const mine = by.includes(person().id);
  const names = by.map((id) => nameOf(id)).join(", ");
  return button(
    `${OFFERED[emoji] ?? emoji}: ${names}`,
    { class: "reaction", "aria-pressed": String(mine), onclick: () => react(thread, emoji, answer, !mine) },
    make("span", {}, emoji),
    make("span", { class: "count" }, String(by.length)),
  );
}

function picker(answer, thread) {
  const choices = make("span", { class: "choices", role: "group", "aria-label": "Reactions", hidden: true });
  const opener = button("React", { class: "small", "aria-expanded": "false" }, icon(SMILE));
  const holder = make("span", { class: "picker" }, opener, choices);
  const close = () => {
    choices.hidden = true;
    opener.setAttribute("aria-expanded", "false");
  };
  for (const [emoji, name] of Object.entries(OFFERED)) {
    const choose = () => {
      close();
      react(thread, emoji, answer, true);
    };
    choices.append(button(name, { class: "choice", onclick: choose }, emoji));
  }
  choices.addEventListener("pointerdown", (event) => event.preventDefault()); // the focus stays in here
  opener.addEventListener("click", () => {
    choices.hidden = !choices.hidden;
    opener.setAttribute("aria-expanded", String(!choices.hidden));
    if (!choices.hidden) choices.firstElementChild.focus();
  });
  holder.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const all = [...choices.children];
    if (event.key === "Escape" && !choices.hidden) {
      close();
      opener.focus();
    } else if (step && !choices.hidden) all[all.indexOf(document.activeElement) + step]?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  holder.addEventListener("focusout", (event) => {
    if (!holder.contains(event.relatedTarget)) close();
  });
  return holder;
}

function react(thread, emoji, answer, added) {
  act(thread, { kind: "reaction", emoji, message_id: answer, added }).catch(complain("Not done"));
}
