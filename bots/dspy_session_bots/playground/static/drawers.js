// The panels at the sides, drawers where there is no room.

import { byId } from "/static/dom.js";

const drawers = ["threads", "inspector"];

/** Close them; true if one was open. */
export function closeDrawers() {
  const open = drawers.filter((name) => byId(name).classList.contains("open"));
  for (const name of drawers) {
    byId(name).classList.remove("open");
    byId(`show-${name}`).setAttribute("aria-expanded", "false");
  }
  byId("curtain").hidden = true;
  return open.length > 0;
}

function openDrawer(name) {
  closeDrawers();
  byId(name).classList.add("open");
  byId(`show-${name}`).setAttribute("aria-expanded", "true");
  byId("curtain").hidden = false;
}

for (const name of drawers) {
  byId(`show-${name}`).addEventListener("click", () => {
    if (byId(name).classList.contains("open")) closeDrawers();
    else openDrawer(name);
  });
}
byId("curtain").addEventListener("click", closeDrawers);
document.addEventListener("show-inspector", () => openDrawer("inspector"));
