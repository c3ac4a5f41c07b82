// What happened behind the conversation: the turn log, and what went to the webhook. Newest first.

import { byId, make } from "/static/dom.js";
import { jsonView } from "/static/json.js";
import { fullTime, logTime } from "/static/time.js";

const inspector = byId("inspector");
const turns = byId("turns");
const deliveries = byId("deliveries");
const indexes = new Map(); // turn id → index

/** Show these, and nothing of what was shown before. `arrived` is null when there is no webhook. */
export function showInspector(log, arrived) {
  const unfolded = [...inspector.querySelectorAll("li:has(> details[open])")].map((entry) => entry.id);
  indexes.clear();
  turns.replaceChildren();
  deliveries.replaceChildren();
  for (const turn of log) putTurn(turn);
  for (const delivery of arrived ?? []) putDelivery(delivery);
  count(); // also of a thread where nothing has happened
  byId("webhook").hidden = arrived === null;
  for (const id of unfolded) unfold(byId(id)); // whoever comes back to a thread finds it as it was
}

/** A turn was recorded, or something was said of it. */
export function putTurn(turn) {
  const known = byId(`turn-${turn.id}`);
  const entry = turnView(turn);
  indexes.set(turn.id, turn.index);
  if (known) {
    entry.querySelector("details").open = known.querySelector("details").open;
    known.replaceWith(entry);
  } else turns.prepend(entry);
  count();
}

/** Nothing is left of a turn. */
export function dropTurn(id) {
  byId(`turn-${id}`)?.remove();
  indexes.delete(id);
  count();
}

function turnView(turn) {
  const facts = {
    id: turn.id,
    recorded: turn.at === null ? "" : fullTime(turn.at),
    model: turn.model,
    score: turn.score,
    stopped: turn.stopped,
    history: turn.history,
  };
  const marks = [`history ${turn.history}`, scoreText(turn.score), turn.stopped, turn.remembered ? "" : "taken back"];
  return make(
    "li",
    { id: `turn-${turn.id}`, "data-remembered": turn.remembered },
    make(
      "details",
      {},
      make(
        "summary",
        {},
        make("span", { class: "tag" }, `#${turn.index + 1}`),
        make("span", { class: "gist" }, turn.message),
        make("time", {}, turn.at === null ? "" : logTime(turn.at)),
        make("span", { class: "more" }, [...marks.filter(Boolean), beginning(turn.id, 8)].join(" · ")),
      ),
      section("Inputs", turn.inputs),
      section("Outputs", turn.outputs),
      turn.feedback?.length ? section("Feedback", turn.feedback.map(withDate)) : null,
      section("Turn", withoutBlanks(facts)),
    ),
  );
}

const withDate = (said) => (said.at === undefined ? said : { ...said, at: fullTime(said.at) });

const scoreText = (score) => (typeof score === "number" ? `score ${Number(score.toFixed(2))}` : "");

/** Something arrived at the webhook. */
export function putDelivery(delivery) {
  const index = delivery.signed ? delivery.body.data?.index : undefined;
  const verdict = delivery.signed
    ? make("span", { class: "verdict good" }, "signature valid")
    : make("span", { class: "verdict bad" }, "not signed by us");
  deliveries.prepend(
    make(
      "li",
      { id: `delivery-${delivery.number}` },
      make(
        "details",
        {},
        make(
          "summary",
          {},
          make("span", { class: "tag" }, index === undefined ? "·" : `#${index + 1}`),
          make("span", { class: "gist code" }, delivery.type || "refused"),
          make("time", {}, logTime(delivery.at)),
          make("span", { class: "more" }, verdict, delivery.id ? ` · ${beginning(delivery.id, 13)}` : ""),
        ),
        section("webhook-id", delivery.id || "none"),
        section("Body", delivery.body),
      ),
    ),
  );
  count();
}

/** A turn's place in the conversation; undefined when it is not in the log. */
export const turnIndex = (id) => indexes.get(id);

/** Unfold a turn in the log and bring it into sight. */
export function openTurn(id) {
  const entry = byId(`turn-${id}`);
  if (!entry) return;
  document.dispatchEvent(new CustomEvent("show-inspector"));
  unfold(entry);
  entry.querySelector("summary").focus({ preventScroll: true });
  entry.scrollIntoView({ block: "nearest" });
}

function unfold(entry) {
  if (entry) entry.querySelector("details").open = true;
}

function section(title, value) {
  return make("div", { class: "section" }, make("h3", {}, title), jsonView(value));
}

/** The first characters of an id, and no half of an escape such as %2F. */
const beginning = (id, length) => id.slice(0, length).replace(/%[0-9A-Fa-f]?$/, "");

function withoutBlanks(facts) {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== "" && value !== null));
}

function count() {
  for (const [list, name] of [[turns, "turns"], [deliveries, "deliveries"]]) {
    const length = list.childElementCount;
    byId(`${name}-count`).textContent = length || "";
    byId(`no-${name}`).hidden = length > 0;
  }
}
