/**
 * What a link does to frames, drawn by chance.
 *
 * @module
 */

import type { Random } from "./random.ts";

/** A time span, in µs from the world's beginning; `to` is excluded. */
export interface Span {
  from: number;
  to: number;
}

/** What one direction of a link does. Probabilities are from 0 to 1, times µs. */
export interface Profile {
  /** One way. */
  delay: number;
  /** Each frame is late by up to this much more, still in order. */
  jitter: number;
  /** Bits a second; `Infinity` for no limit. */
  rate: number;
  /** Frames that wait for the rate; one more is dropped. */
  queue: number;
  /** Frames that wait from which on ECN-capable packets are marked; `Infinity` for never. */
  markAt: number;
  /** Whether the sender's slots are taken until a frame has left, as with hardware, instead of copied at once. */
  holdsSlots: boolean;
  loss: number;
  /** Spans in which `burstLoss` holds instead of `loss`. */
  bursts: Span[];
  burstLoss: number;
  /** Overtaken by later frames. */
  reorder: number;
  /** How much later an overtaken frame comes, at most. */
  reorderBy: number;
  duplicate: number;
  corrupt: number;
  truncate: number;
  /** Times at which the delay changes, and to what. */
  delays: { at: number; delay: number }[];
  /** Frames vanish. */
  blackouts: Span[];
  /** The device says that the link is down, and refuses frames. */
  flaps: Span[];
  /** Nothing passes from here on. */
  deadFrom: number;
  /** Largest IP packet that passes; larger ones are answered with ICMP. */
  mtu: number;
  /** Larger IP packets vanish without a word from `holeFrom` on: a black hole. */
  hole: number;
  /** µs from the world's beginning. */
  holeFrom: number;
  /** TCP options that a middlebox blanks out in SYNs. */
  stripped: readonly number[];
  /** To this a middlebox lowers the MSS of SYNs. */
  mssClamp: number;
}

/** A link that does nothing but take `delay`. */
export function perfect(delay: number): Profile {
  return {
    delay,
    jitter: 0,
    rate: Infinity,
    queue: Infinity,
    markAt: Infinity,
    holdsSlots: false,
    loss: 0,
    bursts: [],
    burstLoss: 0,
    reorder: 0,
    reorderBy: 0,
    duplicate: 0,
    corrupt: 0,
    truncate: 0,
    delays: [],
    blackouts: [],
    flaps: [],
    deadFrom: Infinity,
    mtu: 65535,
    hole: 65535,
    holeFrom: 0,
    stripped: [],
    mssClamp: 65535,
  };
}

/** Whether frames may fail to arrive. */
export function lossy(p: Profile): boolean {
  return p.loss > 0 || p.bursts.length > 0 || p.corrupt > 0 || p.truncate > 0 || p.blackouts.length > 0 ||
    p.flaps.length > 0 || p.deadFrom < Infinity || (p.rate < Infinity && p.queue < Infinity) ||
    p.mtu < 65535 || p.hole < 65535;
}

/** Whether so much may be lost that ten tries in a row fail. */
export function brutal(p: Profile): boolean {
  return p.loss + p.corrupt + p.truncate > 0.03 || p.blackouts.length > 0 || p.bursts.length > 0 ||
    p.flaps.length > 0 || p.deadFrom < Infinity || p.queue < 10 || p.hole < 65535;
}

/** Options that middleboxes are known to blank out: window scale, SACK permitted, timestamps. */
const STRIPPED: readonly (readonly number[])[] = [[3], [4], [8], [3, 4], [4, 8], [3, 4, 8]];

/** Draws the two directions between two hosts: alike in what they are, not in what befalls them. */
export function drawProfiles(random: Random, offloads: boolean): [Profile, Profile] {
  const there = perfect(random.scaled(20, 250_000));
  const kind = random.fraction();
  // A quarter of the links is good: what goes wrong on those has no excuse.
  if (kind > 0.25) shape(random, there);
  const back: Profile = { ...there };
  if (kind > 0.25) {
    damage(random, there, offloads);
    damage(random, back, offloads);
    if (random.chance(0.08)) there.stripped = back.stripped = random.pick(STRIPPED);
    if (random.chance(0.05)) there.mssClamp = back.mssClamp = random.pick([1400, 536, 256, 88]);
    if (random.chance(0.06)) there.mtu = back.mtu = random.pick([1492, 1400, 1280, 576]);
    if (random.chance(0.06)) {
      there.hole = random.pick([1492, 1400, 1280, 576, 300]);
      there.holeFrom = random.chance(0.5) ? 0 : random.scaled(10_000, 5_000_000);
      if (random.chance(0.5)) {
        back.hole = there.hole;
        back.holeFrom = there.holeFrom;
      }
    }
    if (random.chance(0.03)) {
      const at = random.scaled(10_000, 5_000_000);
      if (random.chance(0.6)) there.deadFrom = back.deadFrom = at;
      else back.deadFrom = at;
    }
  }
  return [there, back];
}

/** Rate and queue. */
function shape(random: Random, p: Profile): void {
  if (random.chance(0.5)) {
    p.rate = random.scaled(200_000, 1_000_000_000);
    p.queue = random.pick([4, 10, 20, 50, 200, 1000]);
    if (random.chance(0.2)) p.markAt = Math.max(1, p.queue >> 2);
    // With a queue of their own, senders wait instead of losing.
    if (random.chance(0.3)) p.holdsSlots = true;
  }
}

function damage(random: Random, p: Profile, offloads: boolean): void {
  if (random.chance(0.3)) p.jitter = Math.floor(p.delay * random.fraction());
  if (random.chance(0.45)) p.loss = random.scaled(1, 150) / 1000;
  if (random.chance(0.2)) {
    p.burstLoss = random.pick([0.3, 0.6, 1]);
    p.bursts = drawSpans(random, random.between(1, 20), 300, 200_000);
  }
  if (random.chance(0.3)) {
    p.reorder = random.scaled(1, 300) / 1000;
    p.reorderBy = random.scaled(50, Math.max(100, 2 * p.delay));
  }
  if (random.chance(0.2)) p.duplicate = random.scaled(1, 200) / 1000;
  // What no checksum covers on the wire (an offloaded one is not there yet) can't be noticed.
  if (!offloads && random.chance(0.25)) p.corrupt = random.scaled(1, 100) / 1000;
  if (!offloads && random.chance(0.1)) p.truncate = random.scaled(1, 50) / 1000;
  if (random.chance(0.2)) {
    for (let i = random.between(1, 5); i > 0; i--) {
      p.delays.push({ at: random.scaled(1000, 20_000_000), delay: random.scaled(20, 400_000) });
    }
    p.delays.sort((a, b) => a.at - b.at);
  } else {
    p.delays = [];
  }
  if (random.chance(0.1)) p.blackouts = drawSpans(random, random.between(1, 3), 10_000, 8_000_000);
  if (random.chance(0.05)) p.flaps = drawSpans(random, random.between(1, 4), 1000, 3_000_000);
}

/** Spans in order, which do not touch each other. */
function drawSpans(random: Random, count: number, least: number, most: number): Span[] {
  const spans: Span[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const from = at + random.scaled(1000, 3_000_000);
    at = from + random.scaled(least, most);
    spans.push({ from, to: at });
  }
  return spans;
}

/** Says what differs from a perfect link. */
export function describe(p: Profile): string {
  const told: string[] = [];
  const plain = perfect(-1);
  for (const [name, value] of Object.entries(p)) {
    if (JSON.stringify(value) === JSON.stringify(plain[name as keyof Profile])) continue;
    if (value === Infinity) continue;
    told.push(`${name}=${typeof value === "object" ? JSON.stringify(value) : value}`);
  }
  return told.join(" ");
}
