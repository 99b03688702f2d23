/**
 * Sequence numbers (RFC 9293, section 3.4): signed 32-bit numbers that wrap, compared by their distance.
 *
 * @module
 */

/** @returns a − b, as a signed distance. */
export function distance(a: number, b: number): number {
  return a - b | 0;
}

/** @returns Whether a comes before b. */
export function before(a: number, b: number): boolean {
  return (a - b | 0) < 0;
}

/** @returns Whether a comes after b. */
export function after(a: number, b: number): boolean {
  return (a - b | 0) > 0;
}

/** @returns The later of both. */
export function later(a: number, b: number): number {
  return (a - b | 0) > 0 ? a : b;
}
