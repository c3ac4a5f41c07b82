// Small words for making elements. Text is always text: nothing here reads HTML.

/** An element with properties, `class` and `data-*`/`aria-*` attributes, and children (elements or text). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.includes("-")) element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const drawn = new WeakMap(); // element → the state that it shows, as JSON

/** Fill an element anew if what it shows has changed; what somebody is about to press or read stays otherwise. */
export function redraw(element, state, draw) {
  const wanted = JSON.stringify(state ?? null);
  if (drawn.get(element) === wanted) return;
  drawn.set(element, wanted);
  element.replaceChildren(...[draw(state)].flat().filter(Boolean));
}

/** An icon of the page's own: one path on a grid of 16. */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

/** A button with a name for those who do not see it. */
export function button(label, properties, ...children) {
  return make("button", { type: "button", "aria-label": label, title: label, ...properties }, ...children);
}

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

// The one place where HTML becomes elements. It comes from the server's Markdown parser, which writes every tag itself;
// the policy's name stands in the page's Content-Security-Policy, so no other code can do the same.
const answers = window.trustedTypes?.createPolicy("answer", { createHTML: (html) => html });

/** Fill an element with an answer as the server rendered it. */
export function fillWithAnswer(element, html) {
  element.innerHTML = answers ? answers.createHTML(html) : html;
}
