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

/** The element with an id. */
export const byId = (id) => document.getElementById(id);

// The one place where HTML becomes elements. It comes from the server's Markdown parser, which writes every tag itself;
// the policy's name stands in the page's Content-Security-Policy, so no other code can do the same.
const answers = window.trustedTypes?.createPolicy("answer", { createHTML: (html) => html });

/** Fill an element with an answer as the server rendered it. */
export function fillWithAnswer(element, html) {
  element.innerHTML = answers ? answers.createHTML(html) : html;
}
