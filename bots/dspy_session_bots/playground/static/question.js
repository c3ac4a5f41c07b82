// What somebody wrote: who, when, the words, the files; and a way to change or delete what is one's own.

import { act } from "/static/api.js";
import { button, icon, make, redraw } from "/static/dom.js";
import { filesView } from "/static/files.js";
import { avatar, colour, nameOf, person } from "/static/people.js";
import { complain } from "/static/problem.js";
import { clockTime, fullTime } from "/static/time.js";

const PENCIL = "M10.5 3.5l2 2L6 12l-2.6.6L4 10z";
const BIN = "M3.5 4.5h9M6.5 4.5v-1h3v1M5 4.5l.5 8h5l.5-8";

/** An element for the question of an exchange; `fillQuestion` fills it. */
export const questionPlace = () => make("div", { class: "question" });

/** Show the question of an exchange, unless somebody is changing it right now. */
export function fillQuestion(place, exchange, thread) {
  if (place.querySelector(".rewrite")) return;
  const { id, text, at, author, name, deed, files, edited, deleted } = exchange;
  const own = author === person().id && !deed && !deleted && !text.startsWith("/");
  const shows = { id, text, at, author, name: nameOf(author, name), deed, files, edited, deleted, own };
  place.dataset.colour = colour(author);
  redraw(place, shows, () => (deed ? line(shows) : [byline(place, shows, thread), ...words(shows)]));
}

/** Begin to change the last message of one's own; false when there is none. */
export function changeLast() {
  const pencils = document.querySelectorAll(".question [data-change]");
  pencils[pencils.length - 1]?.click();
  return pencils.length > 0;
}

const line = ({ name, text }) => make("p", { class: "deed" }, `${name} ${text}`);

function words({ text, files, deleted }) {
  if (deleted) return [make("p", { class: "text deleted" }, "This message was deleted.")];
  return [text ? make("p", { class: "text" }, text) : null, filesView(files)];
}

function byline(place, shows, thread) {
  const { author, name, at, edited, own } = shows;
  return make(
    "div",
    { class: "byline" },
    own ? menu(place, shows, thread) : null,
    edited ? make("span", { class: "edited" }, "edited") : null,
    at === null ? null : make("time", { title: fullTime(at) }, clockTime(at)),
    author ? make("span", { class: "who" }, name) : null,
    author ? avatar(author, name) : null,
  );
}

function menu(place, shows, thread) {
  const remove = button("Delete this message", { class: "small" }, icon(BIN));
  remove.addEventListener("click", () => {
    if (remove.classList.contains("sure")) {
      act(thread, { kind: "deletion", message_id: shows.id }).catch(complain("Not deleted"));
      return;
    }
    remove.classList.add("sure");
    remove.replaceChildren("Delete?");
    remove.setAttribute("aria-label", "Press again to delete this message");
  });
  remove.addEventListener("blur", () => {
    remove.classList.remove("sure");
    remove.replaceChildren(icon(BIN));
    remove.setAttribute("aria-label", "Delete this message");
  });
  const change = button(
    "Change this message",
    { class: "small", "data-change": "", onclick: () => rewrite(place, shows, thread) },
    icon(PENCIL),
  );
  return make("span", { class: "own" }, change, remove);
}

function rewrite(place, { id, text }, thread) {
  const before = [...place.childNodes];
  const box = make("textarea", { value: text, rows: Math.min(8, text.split("\n").length + 1), "aria-label": "Message" });
  const end = () => {
    place.replaceChildren(...before);
    document.dispatchEvent(new CustomEvent("shown-anew", { detail: id })); // it may have changed meanwhile
    place.querySelector("[data-change]")?.focus();
  };
  const save = async () => {
    const wanted = box.value.trim();
    if (wanted && wanted !== text) {
      try {
        await act(thread, { kind: "edit", message_id: id, text: wanted });
      } catch (error) {
        complain("Not changed")(error);
        return;
      }
    }
    end();
  };
  const form = make(
    "form",
    { class: "rewrite", onsubmit: (event) => (event.preventDefault(), save()) },
    box,
    make("button", { type: "button", class: "action", onclick: end }, "Cancel"),
    make("button", { type: "submit", class: "action", "data-style": "good" }, "Save"),
  );
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") end();
    else if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target === box) save();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  place.replaceChildren(form);
  box.focus();
}
