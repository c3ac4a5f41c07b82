// What the bot said before its answer was whole: a question that the agent asks before it goes on.

import { beneathView } from "/static/beneath.js";
import { fillButtons } from "/static/buttons.js";
import { fillWithAnswer, make, redraw } from "/static/dom.js";
import { person } from "/static/people.js";

/** Show the asides of an exchange. */
export function fillAsides(place, { asides }, thread, secret) {
  const shown = secret ? [] : asides;
  place.hidden = shown.length === 0;
  redraw(place, { shown, who: person().id }, () => shown.map((one) => asideView(one, thread)));
}

function asideView({ id, html, beneath }, thread) {
  const prose = make("div", { class: "prose" });
  fillWithAnswer(prose, html);
  const buttons = make("div", { class: "buttons" });
  const asks = make("div", { class: "asks" });
  fillButtons(buttons, asks, { id, beneath, turn: "", verdicts: {} }, thread);
  return make("div", { class: "aside" }, prose, ...beneathView(beneath).filter(Boolean), buttons, asks);
}
