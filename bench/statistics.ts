/**
 * The few numbers that stand for many.
 *
 * @module
 */

import { SeededRandom } from "../drivers/random.ts";

/** The value below which a share of the values lies (nearest rank). `share` is 0 to 1; NaN without values. */
export function percentile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN;
}

/** The middle value; the lower one of the two middle values of an even number. */
export function median(values: ArrayLike<number>): number {
  return percentile(values, 0.5);
}

/** Times that {@link pairedRatio} draws. */
const DRAWS = 2000;

/** A ratio, and between which values it lies. */
export interface PairedRatio {
  /** The median of the pairs' ratios. */
  ratio: number;
  /** The 5th percentile of what it may be, as far as so few values tell. */
  low: number;
  /** The 95th. */
  high: number;
}

/**
 * How many times the others the ones are, where the nth of both were measured alike: what both had in common, a hard round or an easy
 * one, cancels out. How far to trust it is what it is for pairs drawn from these, with replacement (the bootstrap). The same
 * values give the same answer.
 */
export function pairedRatio(ones: readonly number[], others: readonly number[]): PairedRatio {
  const ratios = ones.map((one, i) => one / others[i]!);
  const random = new SeededRandom(1);
  const drawn = Array.from(
    { length: DRAWS },
    () => median(ratios.map(() => ratios[random.below(ratios.length)]!)),
  );
  return { ratio: median(ratios), low: percentile(drawn, 0.05), high: percentile(drawn, 0.95) };
}
