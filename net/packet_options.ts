/**
 * What applications may say about the headers of their packets.
 *
 * @module
 */

/** @throws {RangeError} When `hops` is not a whole number from 1 to 255. */
export function checkHops(hops: number): number {
  if (!Number.isInteger(hops) || hops < 1 || hops > 255) {
    throw new RangeError(`Hop limit must be a whole number from 1 to 255, got ${hops}`);
  }
  return hops;
}

/** A traffic class (DSCP and ECN) as it was given. @throws {RangeError} It is not from 0 to 255. */
export function checkClass(value: number): number {
  if (!Number.isInteger(value) || value < 0 || value > 255) {
    throw new RangeError(`Traffic class must be a whole number from 0 to 255, got ${value}`);
  }
  return value;
}
