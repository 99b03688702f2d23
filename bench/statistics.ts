/**
 * The few numbers that stand for many.
 *
 * @module
 */

/** The value below which a share of the values lies (nearest rank). `share` is 0 to 1; NaN without values. */
export function percentile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? NaN;
}

/** The middle value; the lower one of the two middle values of an even number. */
export function median(values: ArrayLike<number>): number {
  return percentile(values, 0.5);
}
