// Files under a message or an answer: pictures are shown, everything else can be saved.

import { icon, make } from "/static/dom.js";

const SHEET = "M4 2.5h5l3 3v8H4zM9 2.5v3h3";

/** The files as an element; null when there are none. */
export function filesView(files) {
  if (!files?.length) return null;
  return make("ul", { class: "files", "aria-label": "Files" }, ...files.map((file) => make("li", {}, fileView(file))));
}

/** "12 kB", as people say sizes. */
export function sizeText(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function fileView(file) {
  if (file.image) {
    const picture = make("img", { src: file.url, alt: file.name, loading: "lazy", decoding: "async" });
    return make("a", { class: "picture", href: file.url, target: "_blank", rel: "noopener" }, picture);
  }
  return make(
    "a",
    { class: "file", href: file.url, download: file.name },
    icon(SHEET),
    make("span", { class: "file-name" }, file.name),
    make("span", { class: "file-size" }, sizeText(file.size)),
  );
}
