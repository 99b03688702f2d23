/**
 * How a question to the DNS came out.
 *
 * @module
 */

import type { DnsRecord } from "./records.ts";

/** How it came out. */
export type OutcomeKind = "found" | "noData" | "noName" | "serverFailure" | "timedOut" | "noServer";

/** The end of a question. */
export interface Outcome {
  /** How it came out. */
  readonly kind: OutcomeKind;
  /** The records of the type that was asked for, of the last name of the chain. Empty unless found. */
  readonly records: readonly DnsRecord[];
  /** The last name of the chain of aliases. */
  readonly name: string;
  /** Seconds for which this may be remembered. */
  readonly ttl: number;
}

/** @returns An outcome without records. */
export function failure(kind: OutcomeKind, name: string, ttl = 0): Outcome {
  return { kind, records: [], name, ttl };
}
