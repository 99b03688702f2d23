/**
 * Packets as bytes, for cases.
 *
 * @module
 */

/** Bytes of a packet or a part of one. */
export type Bytes = number[];

/** Where frames come from and go to. */
export const LINK = {
  /** The host under test, by its first interface. */
  host: [2, 0, 0, 0, 0, 1],
  /** The host under test, by its second interface. */
  far: [2, 0, 0, 0, 0, 2],
  /** The peer, from which everything comes. */
  peer: [2, 0, 0, 0, 0, 10],
  /** The neighbour of the second interface. */
  beyond: [2, 0, 0, 0, 0, 11],
  broadcast: [255, 255, 255, 255, 255, 255],
} as const;

/** Two bytes, most significant first. */
export function u16(value: number): Bytes {
  return [value >>> 8 & 255, value & 255];
}

/** Four bytes. */
export function u32(value: number): Bytes {
  return [value >>> 24 & 255, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

/** Ones' complement sum of 16-bit words. */
export function sum(bytes: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < bytes.length; i += 2) total += bytes[i]! << 8 | (bytes[i + 1] ?? 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** Puts the checksum of `bytes` and what else counts (`pseudo`) at `at`. */
export function checksummed(bytes: Bytes, at: number, pseudo: Bytes): Bytes {
  const copy = [...bytes];
  const value = ~sum([...pseudo, ...copy]) & 0xffff;
  [copy[at], copy[at + 1]] = u16(value === 0 ? 0xffff : value) as [number, number];
  return copy;
}

/** A frame from the peer. */
export function frame(ethertype: number, packet: Bytes, to: readonly number[] = LINK.host): Uint8Array {
  const bytes = [...to, ...LINK.peer, ...u16(ethertype), ...packet];
  while (bytes.length < 60) bytes.push(0);
  return Uint8Array.from(bytes);
}
