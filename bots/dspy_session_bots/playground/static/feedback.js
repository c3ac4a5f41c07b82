// What somebody said of an answer, by 👍 and 👎: as the server knows it, or as it is about to.

const hopes = new Map(); // turn and person → {is, seen}: what was just pressed, and what the server knew then

/** What `who` says of an exchange: `is` is "good", "bad" or "". `hope` shows something else until the server agrees. */
export function verdict(exchange, who) {
  const known = knownVerdict(exchange, who);
  const key = `${exchange.turn} ${who}`;
  const hoped = hopes.get(key);
  if (hoped && hoped.seen !== known) hopes.delete(key); // the server has heard something since
  const is = hopes.has(key) ? hoped.is : known;
  return { is, hope: (wanted) => hopes.set(key, { is: wanted, seen: known }) };
}

function knownVerdict({ verdicts }, who) {
  const score = verdicts[who];
  if (score === undefined) return "";
  return score >= 0.5 ? "good" : "bad";
}
