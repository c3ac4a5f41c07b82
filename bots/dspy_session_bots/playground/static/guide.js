// The first steps of a newcomer: say something, ask for it, ask elsewhere. Whoever goes another way is left in peace.

import { byId } from "/static/dom.js";

const [greeting, question] = [...document.querySelectorAll("[data-say]")].map((button) => button.textContent.trim());

/** Show the step that comes after these exchanges, if they are the steps before it. */
export function guide(exchanges, readable) {
  const said = exchanges.map((exchange) => exchange.text);
  const answered = exchanges.every((exchange) => exchange.phase === "answered" && exchange.remembered);
  const asked = said[0] === greeting && answered;
  byId("welcome").hidden = said.length > 0 || !readable;
  byId("ask-back").hidden = !(asked && said.length === 1);
  byId("ask-elsewhere").hidden = !(asked && said.length === 2 && said[1] === question);
}
