// What an answer has besides words: who alone may see it, a table, sources, files, thoughts.

import { fillWithAnswer, icon, make } from "/static/dom.js";
import { filesView } from "/static/files.js";

const EYE = "M1.5 8s2.5-4.5 6.5-4.5S14.5 8 14.5 8s-2.5 4.5-6.5 4.5S1.5 8 1.5 8zM6.5 8a1.5 1.5 0 1 0 3 0 1.5 1.5 0 1 0-3 0";

/** The parts as elements. */
export function beneathView({ table, links, files, reasoning, private: alone, secret, who }) {
  if (secret) return [note(`Only ${who} sees this.`)];
  return [
    tableView(table),
    filesView(files),
    linksView(links),
    reasoning ? thoughts(reasoning) : null,
    alone ? note("Only you see this.") : null,
  ];
}

const note = (text) => make("p", { class: "private" }, icon(EYE), text);

function tableView(rows) {
  if (!rows) return null;
  const lines = rows.map(([name, value]) =>
    make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)),
  );
  return make("table", { class: "further" }, make("tbody", {}, ...lines));
}

function linksView(links) {
  if (!links) return null;
  const items = links.map(({ url, title }) =>
    make("li", {}, url ? make("a", { href: url, target: "_blank", rel: "noopener noreferrer nofollow" }, title) : title),
  );
  return make("div", { class: "sources" }, make("h3", {}, "Sources"), make("ol", {}, ...items));
}

function thoughts(html) {
  const prose = make("div", { class: "prose" });
  fillWithAnswer(prose, html);
  return make("details", { class: "reasoning" }, make("summary", {}, "Reasoning"), prose);
}
