// JSON to look at: indented, its parts told apart by colour, long objects folded.

import { make } from "/static/dom.js";

/** A value as an element. */
export function jsonView(value) {
  return make("div", { class: "json" }, part(value));
}

function part(value) {
  if (value === null || typeof value !== "object") return leaf(value);
  const list = Array.isArray(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return make("span", { class: "json-empty" }, list ? "[]" : "{}");
  return make("ul", {}, ...entries.map(([name, item]) => row(list ? null : name, item)));
}

function row(name, item) {
  const label = name === null ? make("span", { class: "json-mark" }, "–") : make("span", { class: "json-key" }, name);
  if (item === null || typeof item !== "object" || Object.keys(item).length === 0) {
    return make("li", {}, label, " ", part(item));
  }
  const size = Object.keys(item).length;
  const folded = make("span", { class: "json-size" }, Array.isArray(item) ? `[${size}]` : `{${size}}`);
  return make("li", {}, make("details", { open: true }, make("summary", {}, label, " ", folded), part(item)));
}

function leaf(value) {
  const kind = value === null ? "null" : typeof value;
  return make("span", { class: `json-${kind}` }, kind === "string" ? value || '""' : String(value));
}
