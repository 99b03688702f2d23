/**
 * Copying a few bytes without leaving garbage.
 *
 * @module
 */

import type { Bytes } from "./packet.ts";

/** Bytes up to which a loop is no slower than making a view of them. */
const SHORT = 64;

/** Copies `length` bytes between two blocks of memory. Longer ranges cost a short-lived view: there is no other fast copy. */
export function copyBytes(source: Bytes, from: number, length: number, target: Bytes, at: number): void {
  if (length <= SHORT) {
    for (const end = from + length; from < end; from++, at++) target[at] = source[from]!;
  } else if (length === source.length) {
    target.set(source, at);
  } else {
    target.set(source.subarray(from, from + length), at);
  }
}
