/**
 * Whether what the stack sent is what the script says.
 *
 * @module
 */

import { ANY, type IpInfo, type TcpOption, type TcpSpec } from "./ast.ts";
import { type Captured, encodeOptions, signatureOf } from "./codec.ts";
import type { Flow } from "./flow.ts";
import { optionText } from "./packet_text.ts";

const PSH = 8, SYN = 2, FIN = 1;
/** Flags that only the last of several segments carries. */
const LAST_ONLY = PSH | FIN;

/** µs within which segments that follow each other may have been one. */
const TOGETHER = 2000;

/** What differs, in words; null when nothing does. */
export function difference(flow: Flow, spec: TcpSpec, ip: IpInfo, packet: Captured): string | null {
  const { body } = packet;
  if (body.protocol !== "tcp") return "protocol";
  const told = flow.describe(packet);
  // Not every version of Linux sets PSH on super-segments.
  const ignored = spec.length > flow.segment ? PSH : 0;
  if ((body.flags ^ spec.flags) & ~ignored) return "flags";
  if (told.sequence !== spec.sequence >>> 0) return "sequence number";
  if (told.length !== spec.length) return "length";
  if (body.flags & 0x10 && told.acknowledgment !== (spec.acknowledgment ?? 0) >>> 0) return "acknowledgment";
  if (spec.window !== null && told.window !== spec.window) return "window";
  if (spec.urgent !== null && told.urgent !== spec.urgent) return "urgent pointer";
  return optionsDiffer(spec.options, told.options, packet) ?? ipDiffers(ip, packet);
}

/** Compares options in their order. Timestamps of ours are whatever the clock says. */
function optionsDiffer(
  expected: TcpOption[] | null,
  actual: TcpOption[] | null,
  packet: Captured,
): string | null {
  if (expected === null || actual === null) return null;
  if (expected.length !== actual.length) return "options";
  for (const [i, option] of expected.entries()) {
    const other = actual[i]!;
    if (option.kind === "TS" && other.kind === "TS") {
      if (option.echo !== ANY && option.echo !== other.echo) return "timestamp echo";
    } else if (option.kind === "signature") {
      if (other.kind !== "raw" || !isSignature(other.bytes, option.key, packet)) return "signature";
    } else if (optionText(option) !== optionText(other)) return "options";
  }
  return null;
}

/** Whether a segment of ours, as it was sent, is signed with a key. */
function isSignature(bytes: Uint8Array, key: string, packet: Captured): boolean {
  const { body, ip, length } = packet;
  return body.protocol === "tcp" && equalBytes(bytes, signatureOf(ip, body.header, length, key));
}

function equalBytes(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, i) => byte === other[i]);
}

/** Compares what stands in brackets. */
export function ipDiffers(ip: IpInfo, packet: Captured): string | null {
  const ecn = packet.ip.trafficClass & 3;
  if (ip.ecn !== null) {
    const fits = ip.ecn === "noecn"
      ? ecn === 0
      : ip.ecn === "ect0"
      ? ecn === 2
      : ip.ecn === "ect1"
      ? ecn === 1
      : ip.ecn === "ce"
      ? ecn === 3
      : ecn === 1 || ecn === 2;
    if (!fits) return "ECN";
  }
  if (ip.trafficClass !== null && packet.ip.trafficClass !== ip.trafficClass) return "traffic class";
  if (ip.flowLabel !== null && packet.ip.flowLabel !== ip.flowLabel) return "flow label";
  if (ip.hopLimit !== null && packet.ip.hopLimit !== ip.hopLimit) return "hop limit";
  return null;
}

/** What options take in the header of a packet, in bytes. */
function optionBytes(packet: Captured): number {
  return packet.body.protocol === "tcp" ? encodeOptions(packet.body.options).length : 0;
}

/**
 * The first segments of `queue` as one of `length` bytes, if they follow each other and are whole but for the last; null
 * otherwise. They stay.
 * @param mss The largest segment that the peer takes, in bytes.
 */
export function merge(
  queue: Captured[],
  length: number,
  mss: number,
): { packet: Captured; count: number } | null {
  const first = queue[0];
  if (first === undefined || first.body.protocol !== "tcp" || first.length >= length) return null;
  // A super-segment carries PSH wherever it ends.
  if (first.length === 0 || first.body.flags & (SYN | FIN)) return null;
  let total = first.length;
  const whole = first.segment > 0 ? first.segment : mss - optionBytes(first);
  for (let i = 1; i < queue.length; i++) {
    const next = queue[i]!;
    if (next.body.protocol !== "tcp" || Math.abs(next.time - first.time) > TOGETHER || next.length === 0) {
      return null;
    }
    if (next.body.sequence !== (first.body.sequence + total) >>> 0) return null;
    if (total % whole !== 0) return null;
    total += next.length;
    if (total > length) return null;
    if (total === length) {
      return {
        packet: {
          ...first,
          length,
          body: { ...first.body, flags: first.body.flags | next.body.flags & LAST_ONLY },
        },
        count: i + 1,
      };
    }
  }
  return null;
}

/** Cuts a super-segment after `length` bytes; null when none of its segments ends there. */
export function split(packet: Captured, length: number): [Captured, Captured] | null {
  const { body } = packet;
  if (body.protocol !== "tcp" || length <= 0 || length >= packet.length) return null;
  if (packet.segment === 0 || length % packet.segment !== 0) return null;
  return [
    { ...packet, length, body: { ...body, flags: body.flags & ~LAST_ONLY } },
    {
      ...packet,
      length: packet.length - length,
      body: { ...body, sequence: (body.sequence + length) >>> 0 },
    },
  ];
}
