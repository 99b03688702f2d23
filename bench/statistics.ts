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

/** Times that {@link ratioInterval} draws. */
const DRAWS = 2000;

/**
 * Between which values the ratio of two medians lies, as far as so few values tell (the bootstrap): from the 5th to the 95th
 * percentile of what it is for values drawn from these, with replacement. The same values give the same answer.
 */
export function ratioInterval(ones: readonly number[], others: readonly number[]): [number, number] {
  const random = new SeededRandom(1);
  const drawn = (values: readonly number[]) => median(values.map(() => values[random.below(values.length)]!));
  const ratios = Array.from({ length: DRAWS }, () => drawn(ones) / drawn(others));
  return [percentile(ratios, 0.05), percentile(ratios, 0.95)];
}
