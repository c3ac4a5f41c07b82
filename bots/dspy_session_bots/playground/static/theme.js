// Dark or light: as the system has it, until somebody chooses.

import { byId } from "/static/dom.js";
import { remember } from "/static/memory.js";

const ORDER = ["system", "light", "dark"];
const toggle = byId("theme");

const theme = () => document.documentElement.dataset.theme ?? "system";

function choose(wanted) {
  if (wanted === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = wanted;
  remember("theme", wanted);
  draw();
}

function draw() {
  toggle.dataset.shows = theme();
  toggle.setAttribute("aria-label", `Colours: ${theme()}`);
  toggle.title = `Colours: ${theme() === "system" ? "as the system has them" : theme()}`;
}

/** From the system's to light, to dark, and back. */
export const nextTheme = () => choose(ORDER[(ORDER.indexOf(theme()) + 1) % ORDER.length]);

toggle.addEventListener("click", nextTheme);
draw();
