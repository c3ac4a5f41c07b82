// Moments, in seconds since 1970, as people say them.

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const logClock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit", second: "2-digit" });
const wholeDate = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const distance = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "narrow" });

const date = (seconds) => new Date(seconds * 1000);

/** "14:02", as people here write it. */
export const clockTime = (seconds) => clock.format(date(seconds));

/** "14:02:31", on the same clock. */
export const logTime = (seconds) => logClock.format(date(seconds));

/** The whole date and time. */
export const fullTime = (seconds) => wholeDate.format(date(seconds));

/** "now", "5 min. ago", "yesterday", "3 May". */
export function ago(seconds, now = Date.now() / 1000) {
  const passed = Math.max(0, now - seconds);
  if (passed < 60) return "now";
  if (passed < 3600) return distance.format(-Math.floor(passed / 60), "minute");
  if (passed < 86400) return distance.format(-Math.floor(passed / 3600), "hour");
  if (passed < 7 * 86400) return distance.format(-Math.floor(passed / 86400), "day");
  return day.format(date(seconds));
}
