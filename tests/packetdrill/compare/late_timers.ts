/**
 * Timers of ours that are as late as the kernel's were. Its wheel is coarse, so what arrives around the moment of a timer
 * may come before it there and after it here, which says nothing of either.
 *
 * @module
 */

import type { Stack } from "../../../stack/stack.ts";
import { linesOf } from "./record.ts";

/** µs from an input to packets that answer it; what comes later was sent by a timer. */
const ANSWER = 800;
/** µs of a tick of the kernel's, with which its wheel counts. */
const TICK = 4_000;
/** Ticks of a timer that runs for long enough to go one level up in the wheel, where slots are eight times as long. */
const LEVEL = 63, COARSER = 8;
/** µs by which any timer of the length that scripts wait for is late: the third level of its wheel. */
const MOST_LATE = 40_000;
/** How late a timer may be as a part of the time that it runs: that of the wheel's levels. */
const PART = 1 / 8;

/**
 * Has the timers of a stack wait for the moments at which a recording shows that the kernel's have run out.
 * @param start When the script began, in µs of the stack's clock.
 */
export function holdTimers(stack: Stack, start: number, recording: readonly string[]): void {
  const lines = linesOf(recording);
  const inputs: number[] = [];
  /** What the kernel's timers sent, and how long it had been silent before. */
  const fired: { at: number; silent: number }[] = [];
  let latest = 0;
  for (const { at, text } of lines) {
    if (!text.startsWith(">")) inputs.push(start + at);
    else if (at - latest > ANSWER) fired.push({ at: start + at, silent: at - latest });
    latest = at;
  }
  /** The latest input that has come: no timer that was set since has run for longer. */
  let before = 0;
  /** What waits, and for how long it may. */
  let waiting = 0, allowed = 0;
  /** Until when what is due at `due` waits. */
  const until = (due: number, now: number): number => {
    while (inputs.length > 0 && inputs[0]! < now) before = inputs.shift()!;
    while (fired.length > 0 && fired[0]!.at < now) fired.shift();
    const sent = fired.find(({ at }) => at >= due);
    if (sent !== undefined && sent.at - due <= MOST_LATE + sent.silent * PART) return sent.at;
    const input = inputs.find((at) => at >= Math.max(due, now));
    // What waited for one input may have waited for the next one as well.
    if (due !== waiting) {
      waiting = due;
      allowed = lateness(due - before);
    }
    return input !== undefined && input - due <= allowed ? input + 1 : due;
  };
  const { timers } = stack;
  const advance = timers.advance.bind(timers);
  const next = timers.next.bind(timers);
  let held = 0;
  timers.advance = (now) => {
    const due = next();
    held = due > now ? 0 : until(due, now);
    if (now >= held) advance(now);
  };
  timers.next = () => Math.max(next(), held);
}

/** µs by which a timer of the kernel's is late at most, which has run for `ran`. */
function lateness(ran: number): number {
  let slot = TICK;
  while (ran > LEVEL * slot) slot *= COARSER;
  return slot + TICK;
}
