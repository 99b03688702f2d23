/**
 * Payload that hangs behind a packet: it goes out as parts of a chain where the device reaches it, and is copied into the
 * slot where it does not.
 *
 * @module
 */

import { CHECKSUM_PARTIAL, type Packet, type Region } from "../../stack/packet.ts";
import type { SplitQueue } from "./queue.ts";
import type { RingMemory } from "./ring_memory.ts";

/** Bytes of payload from which on a descriptor costs less than a copy. */
const LEAST_CHAINED = 4096;

/** Descriptors of a frame with two pieces, each over the end of a chunk. */
const MOST_PARTS = 5;

/**
 * Whether a device reads a packet's pieces where they lie. It may do so after the peer has told that it has them, when
 * other bytes have taken their place: the peer then throws them away, since it has had them, and the sum is taken of what goes out.
 * @param spare Descriptors that the packet may take.
 */
export function reachable(packet: Packet, rings: RingMemory, spare: number): boolean {
  if ((packet.flags & CHECKSUM_PARTIAL) === 0 || spare < MOST_PARTS) return false;
  const { piece0, piece0Length, piece1, piece1Length } = packet;
  if (piece0Length + piece1Length < LEAST_CHAINED) return false;
  return rings.has(piece0!) && (piece1Length === 0 || rings.has(piece1!));
}

/** Goes on with the buffer that was added last: the packet's pieces, which are on loan until {@link endLoans}. */
export function chain(packet: Packet, rings: RingMemory, queue: SplitQueue): void {
  chainPiece(rings, queue, packet.piece0!, packet.piece0Offset, packet.piece0Length);
  if (packet.piece1Length !== 0) {
    chainPiece(rings, queue, packet.piece1!, packet.piece1Offset, packet.piece1Length);
  }
}

function chainPiece(
  rings: RingMemory,
  queue: SplitQueue,
  region: Region,
  offset: number,
  length: number,
): void {
  region.loans++;
  for (let at = region.bytes.byteOffset + offset; length > 0;) {
    const part = rings.contiguous(at, length);
    queue.extend(rings.low(at), rings.high(at), part, 0);
    at += part;
    length -= part;
  }
}

/** A device is done with a packet: it has read the pieces, if there are any left. */
export function endLoans(packet: Packet): void {
  if (packet.piece0Length !== 0) packet.piece0!.loans--;
  if (packet.piece1Length !== 0) packet.piece1!.loans--;
}

/** Copies the pieces behind what lies in the slot, where the caller has made sure that they fit. */
export function gather(packet: Packet): void {
  const { bytes } = packet;
  let at = packet.end;
  const { piece0, piece0Offset, piece0Length, piece1, piece1Offset, piece1Length } = packet;
  bytes.set(piece0!.bytes.subarray(piece0Offset, piece0Offset + piece0Length), at);
  at += piece0Length;
  if (piece1Length !== 0) {
    bytes.set(piece1!.bytes.subarray(piece1Offset, piece1Offset + piece1Length), at);
    at += piece1Length;
  }
  packet.dropPieces();
  packet.end = at;
}
