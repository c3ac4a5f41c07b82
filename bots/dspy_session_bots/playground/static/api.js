// What the page asks of the server. Each call says in words what went wrong, for whoever wrote or pressed something.

import { person } from "/static/people.js";

/** Something that the server did not do; its message is for people. */
export class Refused extends Error {}

/** Write a message; `files` are ids of uploaded files. */
export const say = (thread, text, files) =>
  post(`/api/threads/${thread}/messages`, { text, files: files ?? [], author: person() });

/** Do something: `{kind: "press", button, about, text}` and the like. */
export const act = (thread, deed) => post(`/api/threads/${thread}/actions`, { ...deed, author: person() });

/** Upload a file; what the server knows of it. */
export const bring = (file, signal) =>
  ask(`/api/files?name=${encodeURIComponent(file.name)}`, {
    body: file,
    headers: { "Content-Type": file.type || "application/octet-stream" },
    signal,
  });

const post = (path, body) =>
  ask(path, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, { method: "POST", ...options });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused("the server does not answer");
  }
  const said = await response.json().catch(() => ({}));
  if (!response.ok) throw new Refused(said.error ?? `the server answered ${response.status}`);
  return said;
}
