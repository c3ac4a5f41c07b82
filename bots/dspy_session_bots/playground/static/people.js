// The two people who share this page, and which of them writes now. Their names are remembered by this browser.

import { byId, make } from "/static/dom.js";
import { recall, remember } from "/static/memory.js";

const IDS = ["ann", "ben"];
const LONGEST = 40; // characters of a name, as the server takes them
const names = { ann: "Ann", ben: "Ben", ...recall("names", {}) };
const place = byId("people");
const rename = byId("rename");

let chosen = IDS.includes(recall("who", "")) ? recall("who", "") : IDS[0];

/** Who writes now: `{id, name}`. */
export const person = () => ({ id: chosen, name: names[chosen] });

/** 1 or 2 for the two of this page, 0 for anybody else; each has a colour. */
export const colour = (id) => IDS.indexOf(id) + 1;

/** What somebody is called: by this page if it knows them, else by the name that came with their words. */
export const nameOf = (id, told) => names[id] ?? (told || id);

/** A name's first letter in a circle. */
export function avatar(id, told) {
  const [letter] = nameOf(id, told).toUpperCase() || "?";
  return make("span", { class: "avatar", "data-colour": colour(id), "aria-hidden": "true" }, letter);
}

/** Let the other one write. */
export function switchPerson() {
  choose(IDS[(IDS.indexOf(chosen) + 1) % IDS.length]);
}

function choose(id) {
  chosen = id;
  remember("who", id);
  draw();
  document.dispatchEvent(new CustomEvent("person"));
}

function draw() {
  const focused = place.contains(document.activeElement);
  place.replaceChildren(
    ...IDS.map((id) =>
      make(
        "label",
        { class: "person" },
        make("input", { type: "radio", name: "person", value: id, checked: id === chosen, class: "visually-hidden" }),
        avatar(id),
        make("span", { class: "person-name" }, names[id]),
      ),
    ),
  );
  if (focused) place.querySelector(":checked").focus();
  rename.setAttribute("aria-label", `Rename ${names[chosen]}`);
  rename.title = `Rename ${names[chosen]}`;
}

function askForName() {
  const id = chosen;
  const box = make("input", { class: "new-name", maxLength: LONGEST, value: names[id], "aria-label": "New name" });
  const end = (name) => {
    box.onblur = null;
    if (name.trim()) names[id] = name.trim();
    remember("names", names);
    draw();
    rename.hidden = false;
    document.dispatchEvent(new CustomEvent("person"));
  };
  box.onblur = () => end(box.value);
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    end(event.key === "Enter" ? box.value : "");
    rename.focus();
  });
  rename.hidden = true;
  place.replaceChildren(box);
  box.select();
}

place.addEventListener("change", (event) => {
  if (event.target.type === "radio") choose(event.target.value);
});
rename.addEventListener("click", askForName);
draw();
