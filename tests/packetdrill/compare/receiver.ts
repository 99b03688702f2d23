/**
 * Scripts in which we receive: segments in and out of order, twice, overlapping, small and large, while the application
 * reads now and then.
 *
 * @module
 */

import { INFO, open, type Random, randomOpening, type Script } from "./script.ts";

/** Makes one. */
export function makeReceiver(random: Random): string {
  const o = randomOpening(random);
  const script = open(o);
  const small = random.chance(30);
  const options = (extra = "") => {
    const stamp = o.stamps ? `nop,nop,TS val ${1000 + Math.round(script.at / 1000)} ecr 100` : "";
    const list = [stamp, extra].filter((text) => text !== "").join(",");
    return list === "" ? "" : ` <${list}>`;
  };
  const reads = random.of([0, 30, 60]);
  const writes = random.of([0, 0, 20]);
  let end = 1;
  let written = 0;
  const steps = random.between(8, 30);
  for (let i = 0; i < steps; i++) {
    const at = script.at + random.of([0, 1, 5, 20, 60, 100, 300]) * 1000;
    const kind = random.below(100);
    if (kind < reads) read(script, at, random);
    else if (random.chance(writes)) {
      const size = random.between(1, 500);
      script.add(at, `write(4, ..., ${size}) = ${size}`);
      written += size;
    } else {
      const length = small
        ? random.between(1, 300)
        : random.of([o.mss, o.mss, o.mss, random.between(1, o.mss)]);
      // Mostly the next, sometimes one before or behind it.
      const shift = random.chance(70) ? 0 : random.of([-2, -1, 1, 1, 2, 3]) * length;
      const start = Math.max(1, end + shift);
      const flags = random.chance(40) ? "P." : ".";
      const ack = random.chance(80) ? written + 1 : 1;
      script.add(
        at,
        `< ${flags} ${start}:${start + length}(${length}) ack ${ack} win ${o.window}${options()}`,
      );
      end = Math.max(end, start + length);
    }
    if (random.chance(20)) script.add(script.at, INFO);
  }
  if (random.chance(40)) {
    script.add(script.at + 10_000, `< F. ${end}:${end}(0) ack ${written + 1} win ${o.window}${options()}`);
  }
  if (random.chance(40)) script.add(script.at + 50_000, "close(4) = 0");
  script.add(script.at + 100_000, INFO);
  return script.text;
}

function read(script: Script, at: number, random: Random): void {
  // What it returns is what the recording tells.
  script.add(at, `recv(4, ..., ${random.of([100, 1000, 5000, 100_000])}, MSG_DONTWAIT) = 0`);
}
