// The bot's commands, while a message begins with a slash: chosen with the arrows and Enter, or with the mouse.

import { byId, make } from "/static/dom.js";

const box = byId("message");
const list = byId("palette");

let commands = [];
let offered = [];
let at = 0;
let dismissed = ""; // what was written when somebody closed it

/** These commands there are. */
export function showCommands(all) {
  commands = all;
  offer();
}

/** What is written as a command of the bot's: `{name, text}`, with the name that is chosen; null if it is none. */
export function chosen() {
  if (list.hidden) return null;
  return { name: offered[at].name, text: box.value.replace(/^\/\S*\s*/, "").trim() };
}

/** Offer the commands that begin with what is written. */
export function offer() {
  const [, word, rest] = /^\/([^\s/]*)(\s[^]*)?$/.exec(box.value) ?? [];
  const matching = commands.filter(({ name }) => (rest === undefined ? name.startsWith(word) : name === word));
  const open = word !== undefined && matching.length > 0 && dismissed !== box.value;
  if (dismissed !== box.value) dismissed = "";
  if (matching.map(({ name }) => name).join() !== offered.map(({ name }) => name).join()) at = 0;
  offered = matching;
  list.hidden = !open;
  box.setAttribute("aria-expanded", String(open));
  if (open) draw();
  else box.removeAttribute("aria-activedescendant");
}

/** Write a slash, and so open the palette. */
export function openPalette() {
  box.focus();
  dismissed = "";
  if (!box.value.startsWith("/")) box.setRangeText("/", 0, box.value ? 0 : box.value.length, "end");
  box.dispatchEvent(new Event("input", { bubbles: true }));
}

/** A key was pressed in the box; true if it was for the palette. */
export function paletteKey(event) {
  if (list.hidden) return false;
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step) {
    at = (at + step + offered.length) % offered.length;
    draw();
  } else if (event.key === "Tab" && !event.shiftKey) {
    box.value = `/${offered[at].name} `;
    box.dispatchEvent(new Event("input", { bubbles: true }));
  } else if (event.key === "Escape") {
    dismissed = box.value;
    offer();
  } else return false;
  event.stopPropagation();
  return true;
}

function draw() {
  list.replaceChildren(...offered.map(option));
  box.setAttribute("aria-activedescendant", `command-${offered[at].name}`);
  list.children[at].scrollIntoView({ block: "nearest" });
}

function option({ name, description }, index) {
  const view = make(
    "li",
    { id: `command-${name}`, role: "option", "aria-selected": String(index === at) },
    make("span", { class: "command" }, `/${name}`),
    make("span", { class: "description" }, description),
  );
  view.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
  view.addEventListener("click", () => {
    at = index;
    byId("composer").requestSubmit();
  });
  return view;
}
