/**
 * Scripts in which we send in small pieces, with Nagle's rule and without, corked or not, to a peer whose window changes.
 *
 * @module
 */

import { recordOurs, sentIn } from "./record.ts";
import { INFO, open, type Random, randomOpening } from "./script.ts";

/** Makes one. */
export function makeWriter(random: Random): string {
  const o = randomOpening(random);
  const script = open(o);
  const windows = random.chance(50) ? [o.window] : [o.window, 0, 1, 5, 8, 20];
  let acked = 1;
  const steps = random.between(6, 25);
  const toggle = (option: string) => `setsockopt(4, SOL_TCP, ${option}, [${random.below(2)}], 4) = 0`;
  for (let i = 0; i < steps; i++) {
    const at = script.at + random.of([0, 1, 5, 20, 60, 100, 300]) * 1000;
    const kind = random.below(100);
    if (kind < 45) {
      const size = random.of([1, random.between(1, 400), o.mss, 2 * o.mss, random.between(1, 5 * o.mss)]);
      const flags = random.chance(20) ? "MSG_MORE" : "0";
      script.add(at, `send(4, ..., ${size}, ${flags}) = ${size}`);
    } else if (kind < 60) script.add(at, toggle(random.of(["TCP_NODELAY", "TCP_CORK"])));
    else {
      const sent = sentIn(recordOurs(script.text).recording).filter((s) => s.length > 0 && s.at <= at);
      const highest = Math.max(1, ...sent.map((s) => s.end));
      // Of one segment that is a part, or all of it.
      const some = sent.filter((s) => s.end > acked);
      acked = random.chance(50) || some.length === 0 ? highest : random.of(some).end;
      const options = o.stamps ? ` <nop,nop,TS val ${1000 + Math.round(at / 1000)} ecr 100>` : "";
      script.add(at, `< . 1:1(0) ack ${acked} win ${random.of(windows)}${options}`);
    }
    if (random.chance(30)) script.add(script.at, INFO);
  }
  if (random.chance(30)) script.add(script.at + 20_000, "close(4) = 0");
  script.add(script.at + 20_000, INFO);
  return script.text;
}
