/**
 * Resets that are sent (RFC 9293, section 3.5.2).
 *
 * @module
 */

import type { Path } from "../ip/path.ts";
import * as wire from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import type { Segment } from "./input.ts";
import { sackLength, writeSackOption } from "./acks.ts";
import { finishChecksum, timestamp, writeSegment } from "./output.ts";
import { SIGNATURE_OPTION, signatureLength } from "./signatures.ts";
import type { Tcp } from "./tcp.ts";

/**
 * Answers a segment that belongs to nothing with RST (RFC 9293, section 3.10.7.1).
 * @param key What the answer is signed with, if it is to be.
 */
export function rejectSegment(
  tcp: Tcp,
  path: Path,
  localPort: number,
  remotePort: number,
  s: Segment,
  key: Uint8Array | null,
): void {
  const packet = path.reserve();
  if (packet === null) return;
  const header = wire.HEADER_LENGTH + (key === null ? 0 : SIGNATURE_OPTION);
  const at = packet.push(header);
  const acked = (s.flags & wire.ACK) !== 0;
  const length = s.length + (s.flags & wire.SYN ? 1 : 0) + (s.flags & wire.FIN ? 1 : 0);
  wire.writeHeader(
    packet.view,
    at,
    localPort,
    remotePort,
    acked ? s.acknowledgment : 0,
    acked ? 0 : s.sequence + length | 0,
    header,
    acked ? wire.RST : wire.RST | wire.ACK,
    0,
  );
  if (key !== null) tcp.signer.sign(packet, at, header, path.source, path.destination, key);
  finishChecksum(packet, at, path.addressSum);
  tcp.counters.sentResets++;
  tcp.counters.sentSegments++;
  path.send(packet, wire.PROTOCOL, 0, 0);
}

/** Sends RST for this connection (RFC 9293, section 3.5.2). */
export function sendReset(c: TcpConnection): void {
  const packet = c.path.reserve();
  if (packet === null) return;
  const stamps = c.timestamps ? 12 : 0;
  const signature = signatureLength(c);
  const sack = sackLength(c, signature + stamps);
  const length = wire.HEADER_LENGTH + signature + stamps + sack;
  const at = packet.push(length);
  const p = at + wire.HEADER_LENGTH + signature;
  if (sack > 0) writeSackOption(c, packet.view, p + stamps, sack);
  if (c.timestamps) wire.writeTimestamps(packet.view, p, timestamp(c), c.tsRecent);
  writeSegment(c, packet, at, c.sndNxt, length, wire.RST | wire.ACK);
  c.tcp.counters.sentResets++;
  c.tcp.counters.sentSegments++;
  c.path.send(packet, wire.PROTOCOL, c.trafficClass, c.hopLimit);
}
