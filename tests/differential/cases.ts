/**
 * What a case is, and all of them.
 *
 * @module
 */

import { Random } from "../simulation/random.ts";
import { caseV4 } from "./cases_v4.ts";
import { caseV6 } from "./cases_v6.ts";

/** Frames that come in one after another, and what is odd about them. */
export interface Case {
  /** What it is, in a few words; rules about differences go by these. */
  tags: string[];
  /** The frames. */
  frames: Uint8Array[];
}

/** The cases of a seed, half of them of each IP version. */
export function cases(seed: number, count: number): Case[] {
  return Array.from({ length: count }, (_, i) => {
    const random = new Random(seed, i);
    return i % 2 === 0 ? caseV4(random, i) : caseV6(random, i);
  });
}
