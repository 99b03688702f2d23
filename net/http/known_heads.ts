/**
 * Headers of requests that clients repeat: programs ask the same again and again on a connection that they keep. What
 * is the same byte for byte means the same, and need not be parsed again.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import type { RequestHead } from "./head.ts";

/** Headers that are kept; a newer one takes the place of an older one. A power of two. */
const KEPT = 256;
/** Most bytes of one. */
const LONGEST = 1024;
/** Bytes of which the fingerprint takes one. */
const STRIDE = 4;

/** A header that came before. */
export interface KnownHead {
  /** All of it. */
  readonly bytes: Bytes;
  /** What it says. Nobody changes it. */
  readonly head: RequestHead;
  /** The URL that it asks for. */
  readonly url: string;
}

const kept: (KnownHead | undefined)[] = Array.from({ length: KEPT });

/** A number for a header, which others may have as well. */
export function fingerprint(bytes: Bytes, offset: number, length: number): number {
  let hash = length;
  for (let at = offset, end = offset + length; at < end; at += STRIDE) {
    hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
  }
  // A small integer, and none that stands for no header.
  return hash >>> 2;
}

/** The header that was kept under a fingerprint, if the bytes begin with it; otherwise null. */
export function recallHead(print: number, bytes: Bytes, offset: number, length: number): KnownHead | null {
  const known = kept[print % KEPT];
  if (known === undefined) return null;
  const own = known.bytes;
  if (own.length > length) return null;
  for (let i = 0; i < own.length; i++) if (own[i] !== bytes[offset + i]) return null;
  return known;
}

/** Keeps a header that is whole, and behind which no body comes. */
export function keepHead(
  print: number,
  bytes: Bytes,
  offset: number,
  length: number,
  head: RequestHead,
  url: string,
): void {
  if (length <= LONGEST) {
    kept[print % KEPT] = { bytes: bytes.slice(offset, offset + length), head, url };
  }
}
