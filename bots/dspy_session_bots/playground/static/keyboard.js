// The keyboard: what its keys do anywhere on the page, and the list of them.

import { stopButtons } from "/static/chat.js";
import { byId, make } from "/static/dom.js";
import { closeDrawers } from "/static/drawers.js";
import { openPalette } from "/static/palette.js";
import { switchPerson } from "/static/people.js";
import { nextTheme } from "/static/theme.js";

const list = byId("shortcuts");

const KEYS = [
  ["Enter", "Send"],
  ["Shift Enter", "Start a new line"],
  ["/", "Write; commands, as the first letter"],
  ["Ctrl K", "Commands"],
  ["↑", "Change your last message, while the box is empty"],
  ["Alt S", "Stop the answer"],
  ["Alt U", "Let the other one write"],
  ["Alt N", "New thread"],
  ["Alt T", "Dark or light"],
  ["Esc", "Close what is open"],
  ["?", "This list"],
];

byId("keys").append(
  ...KEYS.flatMap(([keys, does]) => [
    make("dt", {}, ...keys.split(" ").map((key) => make("kbd", {}, key))),
    make("dd", {}, does),
  ]),
);
byId("show-shortcuts").addEventListener("click", () => list.showModal());
list.addEventListener("click", (event) => {
  if (event.target === list) list.close(); // beside it
});

const isWriting = () => /^(TEXTAREA|INPUT)$/.test(document.activeElement?.tagName) && document.activeElement.type !== "radio";

/** Listen; `startThread` begins a new thread. */
export function listen(startThread) {
  const withAlt = {
    KeyN: startThread,
    KeyS: () => stopButtons().at(-1)?.click(),
    KeyT: nextTheme,
    KeyU: switchPerson,
  };
  document.addEventListener("keydown", (event) => {
    if (list.open) return;
    if (event.key === "Escape" && closeDrawers()) event.preventDefault();
    else if ((event.ctrlKey || event.metaKey) && event.code === "KeyK") openPalette();
    else if (event.altKey && withAlt[event.code]) withAlt[event.code]();
    else if (event.key === "/" && !isWriting()) openPalette();
    else if (event.key === "?" && !isWriting()) list.showModal();
    else return;
    event.preventDefault();
  });
}
