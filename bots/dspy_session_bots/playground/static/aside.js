// What the bot said before its answer was whole: a question that the agent asks before it goes on.

import { beneathView } from "/static/beneath.js";
import { fillButtons } from "/static/buttons.js";
import { fillWithAnswer, make, redraw } from "/static/dom.js";
import { person } from "/static/people.js";

/** Show the asides of an exchange. */
export function fillAsides(place, { asides }, thread, secret) {
  const shown = secret ? [] : asides;
  place.hidden = shown.length === 0;
  const there = new Map([...place.children].map((view) => [view.dataset.aside, view]));
  for (const one of shown) {
    const view = there.get(one.id) ?? place.appendChild(make("div", { class: "aside", "data-aside": one.id }));
    there.delete(one.id);
    redraw(view, { one, who: person().id }, () => asideView(one, thread)); // somebody may be writing in another one
  }
  for (const gone of there.values()) gone.remove();
}

function asideView({ id, html, beneath }, thread) {
  const prose = make("div", { class: "prose" });
  fillWithAnswer(prose, html);
  const buttons = make("div", { class: "buttons" });
  const asks = make("div", { class: "asks" });
  fillButtons(buttons, asks, { id, beneath, turn: "", verdicts: {} }, thread);
  return [prose, ...beneathView(beneath), buttons, asks];
}
