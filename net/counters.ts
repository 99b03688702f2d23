/**
 * Counters as plain objects, for printing and for JSON.
 *
 * @module
 */

/** Numbers by name, grouped by layer. */
export interface Counters {
  /** A number, or the counters of a part. */
  [name: string]: number | Counters;
}

/** Copies a counters object of the stack, with those in it. */
export function plainCounters(counters: object): Counters {
  const copy: Counters = {};
  for (const [name, value] of Object.entries(counters)) {
    if (typeof value === "number") copy[name] = value;
    else if (typeof value === "object" && value !== null) copy[name] = plainCounters(value);
  }
  return copy;
}
