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
import type { Tcp } from "./tcp.ts";

/** Answers a segment that belongs to nothing with RST (RFC 9293, section 3.10.7.1). */
export function rejectSegment(tcp: Tcp, path: Path, localPort: number, remotePort: number, s: Segment): void {
  const packet = path.reserve();
  if (packet === null) return;
  const at = packet.push(wire.HEADER_LENGTH);
  const acked = (s.flags & wire.ACK) !== 0;
  const length = s.length + (s.flags & wire.SYN ? 1 : 0) + (s.flags & wire.FIN ? 1 : 0);
  wire.writeHeader(
    packet.view,
    at,
    localPort,
    remotePort,
    acked ? s.acknowledgment : 0,
    acked ? 0 : s.sequence + length | 0,
    wire.HEADER_LENGTH,
    acked ? wire.RST : wire.RST | wire.ACK,
    0,
  );
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
  const sack = sackLength(c, stamps);
  const length = wire.HEADER_LENGTH + stamps + sack;
  const at = packet.push(length);
  if (sack > 0) writeSackOption(c, packet.view, at + wire.HEADER_LENGTH + stamps, sack);
  if (c.timestamps) {
    wire.writeTimestamps(packet.view, at + wire.HEADER_LENGTH, timestamp(c), c.tsRecent);
  }
  writeSegment(c, packet, at, c.sndNxt, length, wire.RST | wire.ACK);
  c.tcp.counters.sentResets++;
  c.tcp.counters.sentSegments++;
  c.path.send(packet, wire.PROTOCOL, c.trafficClass, c.hopLimit);
}
