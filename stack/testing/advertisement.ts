/**
 * What routers tell, for unit tests.
 *
 * @module
 */

import type { Ipv6Options } from "../nd/options.ts";
import { bytesOf, icmpv6Frame, linkOption } from "./frames_v6.ts";
import { Host } from "./pair.ts";

/** The 4 bytes of a word. */
export const word = (
  value: number,
): number[] => [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];

/** A host that has only its link-local address, which nobody else has for sure. */
export function linkHost(limits = {}, ipv6: boolean | Ipv6Options = true): Host {
  const made = new Host(1, "", {}, { limits }, ipv6);
  for (let now = 0; now < 3_000_000; now += 100_000) made.stack.poll(now);
  made.device.take();
  return made;
}

/** A router advertisement; from fe80::2 at 02:00:00:00:00:02 by default. */
export interface Advertisement {
  source?: string;
  from?: number;
  hopLimit?: number;
  lifetime?: number;
  flags?: number;
  options?: number[];
}

/** Has a host hear an advertisement. */
export function advertise(made: Host, told: Advertisement): void {
  const { lifetime = 1800, flags = 0, options = [], from = 2 } = told;
  const body = [told.hopLimit ?? 0, flags, lifetime >> 8, lifetime & 255, ...word(0), ...word(0), ...options];
  made.device.deliver(
    made.interface,
    icmpv6Frame(134, 0, [...body, ...linkOption(1, from)], {
      source: told.source ?? "fe80::2",
      from,
      destination: "ff02::1",
      hopLimit: 255,
    }),
  );
}

/** A prefix option. Lifetimes are in seconds. */
export function prefixOption(
  address: string,
  valid: number,
  preferred: number,
  flags = 0xc0,
  bits = 64,
): number[] {
  return [3, 4, bits, flags, ...word(valid), ...word(preferred), ...word(0), ...bytesOf(address)];
}

/** Polls second by second until `at` (s). */
export function passUntil(made: Host, at: number): void {
  for (let now = made.stack.now; now < at * 1_000_000; now += 1_000_000) made.stack.poll(now);
  made.stack.poll(at * 1_000_000);
}
