// What this browser remembers of the page's settings. Where it keeps nothing, the page works all the same.

const PREFIX = "playground.";

/** What was remembered; `otherwise` if nothing was. */
export function recall(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

/** Remember a value. */
export function remember(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // private browsing: it lasts until the page is closed
  }
}
