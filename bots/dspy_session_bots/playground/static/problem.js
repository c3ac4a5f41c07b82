// What went wrong, in one line above the message box.

import { byId } from "/static/dom.js";

const problem = byId("problem");

/** Say it; nothing to say takes it away. */
export function tell(text) {
  problem.textContent = text;
  problem.hidden = !text;
}

/** For a promise's `catch`: what was not done, and why. */
export const complain = (what) => (error) => {
  if (error.name !== "AbortError") tell(`${what}: ${error.message}.`);
};
