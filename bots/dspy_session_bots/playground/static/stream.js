// The server's events for one thread. Each connection begins with the whole of what there is, so that coming back after
// any absence is the same as coming for the first time.

const NAMES = ["whole", "thread", "unlisted", "exchange", "gone", "turn", "delivery"];
const RETRY = 2000; // milliseconds; the browser itself retries a broken connection, but not a refused one

export class Stream {
  /** `on` maps the names of events to functions; `onLine` is told whether the server answers. */
  constructor(on, onLine) {
    this.on = on;
    this.onLine = onLine;
    this.thread = null;
    this.source = null;
    this.retry = 0;
    // A hidden page lets go: browsers allow six connections to a server, for all pages together.
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.open(this.thread)));
  }

  open(thread) {
    this.close();
    this.thread = thread;
    if (document.hidden) return;
    const source = new EventSource(`/api/events?thread=${encodeURIComponent(thread)}`);
    this.source = source;
    for (const name of NAMES) {
      source.addEventListener(name, (event) => this.on[name](JSON.parse(event.data)));
    }
    source.addEventListener("open", () => this.onLine(true));
    source.addEventListener("error", () => {
      this.onLine(false);
      if (source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.open(thread), RETRY);
    });
  }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }
}
