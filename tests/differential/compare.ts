/**
 * Both hosts, the same packets, and what is left of the differences.
 *
 * @module
 */

import { type Case, cases } from "./cases.ts";
import { type Answer, describe } from "./describe.ts";
import { answersOfKernel } from "./kernel.ts";
import { answersOfOurs } from "./ours.ts";
import { type Pair, RULES } from "./rules.ts";

/** What {@link compare} has found. */
export interface Comparison {
  /** Cases that the kernel has answered. */
  answered: number;
  /** Cases with the same answers. */
  same: number;
  /** How many cases each rule explains or helps to. */
  explained: Map<string, number>;
  /** The others, in words. */
  unexplained: string[];
}

/** Gives both hosts the cases of a seed. @param forwarding Whether both are routers. */
export async function compare(seed: number, count: number, forwarding: boolean): Promise<Comparison> {
  const all = cases(seed, count);
  const ours = answersOfOurs(all, forwarding), theirs = await answersOfKernel(all, forwarding);
  const result: Comparison = { answered: 0, same: 0, explained: new Map(), unexplained: [] };
  all.forEach((one, i) => {
    const pair: Pair = {
      tags: one.tags,
      forwarding,
      ours: inWords(ours[i]!, one),
      theirs: inWords(theirs[i]!, one),
    };
    if (pair.theirs.length > 0) result.answered++;
    if (alike(pair)) {
      result.same++;
      return;
    }
    const before =
      `seed ${seed} case ${i} [${one.tags.join(", ")}]\n  ours:   ${pair.ours.join("\n          ")}` +
      `\n  kernel: ${pair.theirs.join("\n          ")}`;
    for (const rule of RULES) {
      const was = JSON.stringify([pair.ours, pair.theirs]);
      rule.align(pair);
      if (JSON.stringify([pair.ours, pair.theirs]) !== was) {
        result.explained.set(rule.name, (result.explained.get(rule.name) ?? 0) + 1);
      }
    }
    if (!alike(pair)) result.unexplained.push(before);
  });
  return result;
}

/** Whatever a rule has left out, the order is that of what is left. */
function alike({ ours, theirs }: Pair): boolean {
  return JSON.stringify(ours.toSorted()) === JSON.stringify(theirs.toSorted());
}

function inWords(answers: Answer[], { frames }: Case): string[] {
  return answers.map((answer) => describe(answer, frames)).filter((text) => text !== null).sort();
}
