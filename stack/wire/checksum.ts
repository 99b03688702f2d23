/**
 * The Internet checksum (RFC 1071): sums over any range, and updates without summing again (RFC 1624).
 *
 * A sum is a number from 0 to 0xffff, in network order: what the ones' complement sum of the 16-bit words is,
 * not inverted. {@link sum} is the one function that walks over many bytes.
 *
 * @module
 */

import type { Packet, Region } from "../packet.ts";

/** Bytes that {@link sum} adds up before 32 bits overflow, with some to spare. */
const MOST = 1 << 17;

/** Bytes that {@link Region.vectorSum} takes at a time, and those from which on it is worth a call. */
const VECTORS = 64, LEAST_VECTORS = 256;

/** @returns `value` (0 to 2^32 - 1, or signed) as a 16-bit ones' complement sum. */
export function fold(value: number): number {
  value = (value & 0xffff) + (value >>> 16);
  return (value & 0xffff) + (value >>> 16);
}

/** @returns The sum of two sums. */
export function add(a: number, b: number): number {
  const both = a + b;
  return (both & 0xffff) + (both >>> 16);
}

/** @returns `sum` as it counts when its bytes stand at an odd distance from the start. */
export function swap(sum: number): number {
  return (sum & 0xff) << 8 | sum >>> 8;
}

/**
 * Sums `length` bytes of `region` from `offset`. Any offset and length; an odd last byte counts as a word's
 * first half.
 * @returns The sum, 0 to 0xffff.
 */
export function sum(region: Region, offset: number, length: number): number {
  if (length > MOST) return add(sum(region, offset, MOST), sum(region, offset + MOST, length - MOST));
  const { vectorSum } = region;
  if (vectorSum === null || length < LEAST_VECTORS) return sumWords(region, offset, length);
  const whole = length & -VECTORS;
  const head = swap(fold(vectorSum(offset, offset + whole)));
  return whole === length ? head : add(head, sumWords(region, offset + whole, length - whole));
}

/** {@link sum} word by word, of no more than {@link MOST} bytes. */
function sumWords(region: Region, offset: number, length: number): number {
  const { bytes, words, skew } = region;
  const end = offset + length;
  let at = offset;
  // In the machine's (little-endian) order: a byte at an odd place of the words is the upper half of its word.
  let total = 0;
  while (at < end && ((at - skew) & 3) !== 0) {
    total += bytes[at]! << (((at - skew) & 1) << 3);
    at++;
  }
  let word = (at - skew) >> 2;
  const last = word + ((end - at) >> 2);
  // By halves and without a branch: counting carries would cost a mispredicted one at every other word of real data.
  let even = 0, odd = 0;
  for (const stop = last - 7; word < stop; word += 8) {
    const w0 = words[word]!, w1 = words[word + 1]!, w2 = words[word + 2]!, w3 = words[word + 3]!;
    const w4 = words[word + 4]!, w5 = words[word + 5]!, w6 = words[word + 6]!, w7 = words[word + 7]!;
    even = even + (w0 & 0xffff) + (w0 >>> 16) + (w1 & 0xffff) + (w1 >>> 16) + (w2 & 0xffff) +
        (w2 >>> 16) + (w3 & 0xffff) + (w3 >>> 16) | 0;
    odd = odd + (w4 & 0xffff) + (w4 >>> 16) + (w5 & 0xffff) + (w5 >>> 16) + (w6 & 0xffff) +
        (w6 >>> 16) + (w7 & 0xffff) + (w7 >>> 16) | 0;
  }
  for (; word < last; word++) {
    const w = words[word]!;
    even = even + (w & 0xffff) + (w >>> 16) | 0;
  }
  total += fold(even) + fold(odd);
  for (at = end - ((end - at) & 3); at < end; at++) total += bytes[at]! << (((at - skew) & 1) << 3);
  total = fold(total);
  // Starting at an odd place, the upper half of the machine's word is the first byte of the network's.
  return ((offset - skew) & 1) === 0 ? swap(total) : total;
}

/** Sums `length` bytes (an even number, a header) of `view` from `offset`. */
export function sumHeader(view: DataView, offset: number, length: number): number {
  let total = 0;
  for (let at = offset; at < offset + length; at += 2) total += view.getUint16(at);
  return fold(total);
}

/** Sums a packet from the absolute offset `from` to its end, pieces outside the slot included. */
export function sumPacket(packet: Packet, from: number): number {
  let length = packet.end - from;
  let total = sum(packet.region, from, length);
  if (packet.piece0Length !== 0) {
    const first = sum(packet.piece0!, packet.piece0Offset, packet.piece0Length);
    total = add(total, (length & 1) === 0 ? first : swap(first));
    if (packet.piece1Length !== 0) {
      length += packet.piece0Length;
      const second = sum(packet.piece1!, packet.piece1Offset, packet.piece1Length);
      total = add(total, (length & 1) === 0 ? second : swap(second));
    }
  }
  return total;
}

/**
 * Updates a checksum field after one 16-bit word under it has changed (RFC 1624, equation 3). Not for fields over
 * what may become all zeros: their checksum is 0xffff, and this gives 0.
 * @param checksum The field. @param before The old word. @param after The new word. @returns The new field.
 */
export function update(checksum: number, before: number, after: number): number {
  return ~fold((~checksum & 0xffff) + (~before & 0xffff) + after) & 0xffff;
}

/** As {@link update}, for a 32-bit word at an even distance. */
export function updateWord(checksum: number, before: number, after: number): number {
  return update(update(checksum, before >>> 16, after >>> 16), before & 0xffff, after & 0xffff);
}
