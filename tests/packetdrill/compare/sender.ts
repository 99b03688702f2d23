/**
 * Scripts in which we send, over a link that loses, reorders and duplicates, to a peer that acknowledges.
 *
 * @module
 */

import { recordOurs, type Sent, sentIn } from "./record.ts";
import { INFO, open, type Random, randomOpening } from "./script.ts";

interface Event {
  at: number;
  order: number;
  /** A segment that arrives, or an ACK's moment. */
  segment?: { start: number; end: number; fin: boolean; stamp: number | null };
  call?: string;
}

/** Makes one. */
export function makeSender(random: Random): string {
  const o = randomOpening(random);
  if (random.chance(10)) o.sysctls.push("net.ipv4.tcp_slow_start_after_idle=1");
  if (random.chance(10)) o.sysctls.push("net.ipv4.tcp_early_retrans=0");
  const script = open(o);
  const reno = random.chance(30);
  if (reno) script.add(script.at, 'setsockopt(4, SOL_TCP, TCP_CONGESTION, "reno", 4) = 0');
  const lossRate = random.of([0, 5, 10, 20, 40]);
  const reorderRate = random.of([0, 0, 5, 20]);
  const duplicateRate = random.of([0, 0, 5]);
  const ackLoss = random.of([0, 0, 0, 10, 30]);
  const ackEvery = random.of([1, 1, 2, 100]);
  const spacing = random.of([0, 0, 1, 5]) * 1000;
  const infoRate = random.of([20, 60, 100]);
  // A burst of losses at a place, or by chance.
  const burst = random.chance(50) ? [random.between(0, 20), random.between(1, 6)] : null;
  const steps = random.between(6, 30);

  const events: Event[] = [];
  let order = 0;
  const push = (event: Omit<Event, "order">) => {
    events.push({ ...event, order: order++ });
    events.sort((a, b) => a.at - b.at || a.order - b.order);
  };
  if (random.chance(15)) script.add(script.at, "setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0");
  const writes = random.of([1, 1, 1, 2, 4]);
  let at = script.at;
  for (let i = 0; i < writes; i++) {
    const size = random.chance(25) ? random.between(1, 3000) : random.between(1, 40) * o.mss;
    push({ at, call: `write(4, ..., ${size}) = ${size}` });
    at += random.of([0, 1, 10, 100, 1000]) * o.rtt / 100;
    at = Math.round(at / 1000) * 1000;
  }
  if (random.chance(15)) push({ at, call: random.of(["close(4) = 0", "shutdown(4, SHUT_WR) = 0"]) });

  // The receiver.
  let next = 1;
  let held: [number, number][] = [];
  let unacked = 0;
  let segments = 0;
  let recent = 0;
  const take = (start: number, end: number): [number, number] | null => {
    if (end <= next || held.some(([left, right]) => left <= start && end <= right)) return [start, end];
    if (start <= next) {
      next = end;
      for (let again = true; again;) {
        again = false;
        for (const block of held) {
          if (block[0] <= next) {
            next = Math.max(next, block[1]);
            held = held.filter((other) => other !== block);
            again = true;
            break;
          }
        }
      }
      return null;
    }
    let left = start, right = end;
    held = held.filter(([l, r]) => {
      if (l > right || r < left) return true;
      left = Math.min(left, l);
      right = Math.max(right, r);
      return false;
    });
    held.unshift([left, right]);
    return null;
  };
  let sent: Sent[] = [];
  const run = () => {
    sent = sentIn(recordOurs(script.text).recording).filter((segment) =>
      (segment.length > 0 || segment.flags.includes("F")) && !segment.flags.includes("S")
    );
  };
  run();
  let taken = 0;
  for (let step = 0; step < steps;) {
    const upcoming = sent[taken];
    const event = events[0];
    if (upcoming !== undefined && (event === undefined || upcoming.at <= event.at)) {
      taken++;
      // What goes out is cut, and each piece has its fate.
      let { start } = upcoming;
      const { end } = upcoming;
      const fin = upcoming.flags.includes("F");
      let offset = 0;
      while (start < end) {
        const stop = Math.min(end, start + o.mss - (o.stamps ? 12 : 0));
        const last = stop === end;
        const index = segments++;
        const lost = burst !== null
          ? index >= burst[0]! && index < burst[0]! + burst[1]!
          : random.chance(lossRate);
        if (!lost) {
          const late = random.chance(reorderRate) ? random.of([4, 10, 25, 60]) * o.rtt / 100 : 0;
          const arrives = Math.round((upcoming.at + o.rtt + offset + late) / 1000) * 1000;
          const segment = { start, end: stop, fin: fin && last, stamp: upcoming.stamp };
          push({ at: arrives, segment });
          if (random.chance(duplicateRate)) push({ at: arrives + 1000, segment });
        }
        offset += spacing;
        start = stop;
      }
      continue;
    }
    if (event === undefined) break;
    events.shift();
    if (event.call !== undefined) {
      script.add(event.at, event.call);
      step++;
    } else {
      const { start, end, stamp } = event.segment!;
      const before = next;
      const duplicate = take(start, end);
      if (start === before && stamp !== null) recent = stamp;
      unacked++;
      const inOrder = held.length === 0 && duplicate === null && start === before;
      const more = events.some((other) => other.at === event.at && other.segment !== undefined);
      if (inOrder && unacked < ackEvery && more) {
        continue;
      }
      unacked = 0;
      if (random.chance(ackLoss)) continue;
      const blocks = [...(duplicate === null ? [] : [duplicate]), ...held].slice(0, o.stamps ? 3 : 4);
      const options: string[] = [];
      if (o.stamps) {
        if (recent === 0) recent = 100;
        options.push(`nop,nop,TS val ${1000 + Math.round(event.at / 1000)} ecr ${recent}`);
      }
      if (o.sack && blocks.length > 0) {
        options.push(`nop,nop,sack ${blocks.map(([left, right]) => `${left}:${right}`).join(" ")}`);
      }
      script.add(
        event.at,
        `< . 1:1(0) ack ${next} win ${o.window}${options.length > 0 ? ` <${options.join(",")}>` : ""}`,
      );
      step++;
    }
    if (random.chance(infoRate)) script.add(script.at, INFO);
    run();
    taken = Math.min(taken, sent.length);
  }
  script.add(script.at, INFO);
  return script.text;
}
