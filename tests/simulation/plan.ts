/**
 * What applications intend to do with a connection, drawn by chance.
 *
 * @module
 */

import type { Random } from "./random.ts";

/** How a side takes what comes. */
export type Reading =
  /** All, at once. */
  | "eager"
  /** A part, and the rest after a while. */
  | "partial"
  /** Nothing in the callback; a timer reads. */
  | "timer"
  /** A timer makes the stack offer it again. */
  | "resume"
  /** Nothing, ever. */
  | "never";

/** How a side ends. */
export type Ending =
  /** FIN after the last byte; reads on; closes after the peer's FIN. */
  | "half-close"
  /** As half-close, but leaves the end to the stack. */
  | "finish"
  /** Waits for the peer's FIN, then closes. */
  | "follow"
  /** Closes after the last byte, whatever the peer still has to say. */
  | "close"
  /** Resets after a part. */
  | "abort"
  /** Closes while there is data that was not read. */
  | "close-unread";

/** One side of a connection. Times are µs. */
export interface SidePlan {
  /** Bytes to send. */
  total: number;
  /** Bytes of a write, at least and at most. */
  writeLeast: number;
  writeMost: number;
  /** Between writes; 0 for as fast as it goes. */
  writeGap: number;
  reading: Reading;
  /** Bytes of a read. */
  readChunk: number;
  readGap: number;
  ending: Ending;
  /** For endings before the end: after so many µs. */
  endAfter: number;
  noDelay: boolean;
  keepAlive: number;
  /** µs after which an accepted connection gets its handler; 0 for at once. */
  handlerAfter: number;
}

/** How two sides meet. */
export type Meeting =
  /** A listener that takes at once. */
  | "listen"
  /** A listener that takes later. */
  | "late"
  /** A listener with a short queue. */
  | "backlog"
  /** A listener that is closed at some time. */
  | "closing"
  /** A port on which nobody listens. */
  | "nobody"
  /** Both connect. */
  | "simultaneous";

/** One connection. */
export interface ConnectionPlan {
  meeting: Meeting;
  /** Of IP, where both can. */
  version: 4 | 6;
  /** Hosts. */
  from: number;
  to: number;
  /** When it begins, in µs. */
  at: number;
  /** The connecting side, and the other. */
  sides: [SidePlan, SidePlan];
  /** Whether the connecting side sends data with its SYN where it can (RFC 7413). */
  fastOpen: boolean | "without-cookie";
  /** A side may see less than all that the other meant to send, or an error. */
  violent: boolean;
}

function drawSide(random: Random, budget: number): SidePlan {
  let total = 0;
  const size = random.fraction();
  if (size > 0.1) total = random.scaled(1, size > 0.97 ? budget : Math.min(budget, 120_000));
  const tiny = random.chance(0.15);
  const writeGap = random.chance(0.25) ? random.scaled(100, 200_000) : 0;
  let writeMost = tiny ? random.scaled(1, 200) : random.scaled(100, 1 << 20);
  // A few hundred waits at most.
  if (writeGap > 0) writeMost = Math.max(writeMost, Math.ceil(total / 100));
  writeMost = Math.max(writeMost, Math.ceil(total / 5000));
  const reading = random.pick<Reading>([
    "eager",
    "eager",
    "eager",
    "eager",
    "partial",
    "timer",
    "resume",
  ]);
  return {
    total,
    writeLeast: random.chance(0.5) ? writeMost : 1 + Math.floor(writeMost / 2),
    writeMost,
    writeGap,
    reading,
    readChunk: random.scaled(1, 1 << 20),
    readGap: random.scaled(10, 500_000),
    ending: random.pick<Ending>(["half-close", "half-close", "finish", "follow"]),
    endAfter: random.scaled(10, 5_000_000),
    noDelay: random.chance(0.3),
    keepAlive: random.chance(0.1) ? random.scaled(50_000, 20_000_000) : 0,
    handlerAfter: random.chance(0.05) ? random.scaled(10, 1_000_000) : 0,
  };
}

/**
 * Draws a connection.
 * @param hosts How many there are. @param budget Most bytes a side sends.
 */
export function drawConnection(
  random: Random,
  hosts: number,
  budget: number,
  spread: number,
): ConnectionPlan {
  const sides: [SidePlan, SidePlan] = [drawSide(random, budget), drawSide(random, budget)];
  for (const i of [0, 1] as const) {
    const other = sides[1 - i]!;
    const side = sides[i];
    // Slow, but not for ever.
    side.readChunk = Math.max(side.readChunk, Math.ceil(other.total / 50));
  }
  if (sides[0].ending === "follow" && sides[1].ending === "follow") sides[0].ending = "half-close";
  const from = random.between(0, hosts - 1);
  let to = random.between(0, hosts - 2);
  if (to >= from) to++;
  // A host may talk to itself.
  if (random.chance(0.01)) to = from;
  const meeting = random.pick<Meeting>([
    ...Array<Meeting>(14).fill("listen"),
    "late",
    "late",
    "backlog",
    "closing",
    "nobody",
    to === from ? "listen" : "simultaneous",
  ]);
  let violent = meeting === "backlog" || meeting === "closing" || meeting === "nobody";
  if (random.chance(0.2)) {
    violent = true;
    const side = random.pick(sides);
    side.ending = random.pick<Ending>(["close", "close", "abort", "abort", "close-unread"]);
    if (side.ending === "close-unread" || random.chance(0.05)) side.reading = "never";
    if (side.reading === "never" && side.ending === "close") side.ending = "abort";
  }
  const version = random.chance(0.3) ? 6 : 4;
  const fastOpen = random.chance(0.3) && meeting !== "simultaneous" &&
    (random.chance(0.3) ? "without-cookie" : true);
  return {
    version,
    meeting,
    from,
    to,
    fastOpen,
    at: spread === 0 ? 0 : random.between(0, spread),
    sides,
    violent,
  };
}
