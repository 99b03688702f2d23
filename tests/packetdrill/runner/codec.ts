/**
 * Packets as bytes: builds what a script injects, and takes apart what the stack sent.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { IpAddress } from "../../../stack/ip/address.ts";
import type { AccurateEcnOption, TcpOption } from "./ast.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Kind and length of a signature. */
const SIGNATURE = 19, SIGNATURE_LENGTH = 18;

/** Link header that every frame of the script's link begins with. */
const LINK = 14;

/** Addresses and what the IP header says beside them. */
export interface IpFields {
  source: IpAddress;
  destination: IpAddress;
  trafficClass: number;
  hopLimit: number;
  flowLabel: number;
}

/** A TCP header, by the numbers on the wire. */
export interface TcpFields {
  sourcePort: number;
  destinationPort: number;
  sequence: number;
  acknowledgment: number;
  flags: number;
  window: number;
  urgent: number;
  options: TcpOption[];
}

/** What the stack sent. */
export interface Captured {
  /** When, in µs. */
  time: number;
  ip: IpFields;
  /** Bytes behind the transport header. */
  length: number;
  /** Bytes of payload that the device would put into each of its segments; 0 when it is one segment. */
  segment: number;
  body:
    | ({ protocol: "tcp"; header: Uint8Array } & TcpFields)
    | { protocol: "udp"; sourcePort: number; destinationPort: number }
    | { protocol: "icmp"; type: number; code: number; rest: number };
}

/** Ones' complement sum over bytes. */
function sum(bytes: Uint8Array, from: number, to: number, total = 0): number {
  for (let i = from; i < to; i += 2) total += bytes[i]! << 8 | (i + 1 < to ? bytes[i + 1]! : 0);
  while (total > 0xffff) total = (total & 0xffff) + (total >>> 16);
  return total;
}

/** The counters of AccECN: kind 172 begins with ECT(0), 174 with ECT(1). */
function decodeCounters(kind: number, value: Uint8Array): AccurateEcnOption["counters"] {
  const names = kind === 172 ? ["e0b", "ceb", "e1b"] as const : ["e1b", "ceb", "e0b"] as const;
  const at = (i: number) => value[i]! << 16 | value[i + 1]! << 8 | value[i + 2]!;
  return names.slice(0, value.length / 3).map((name, i) => [name, at(3 * i)]);
}

/** The bytes of options, `whole` ones padded to whole words with what `eol` and `nop` left open. */
export function encodeOptions(options: readonly TcpOption[], whole = true): Uint8Array {
  const bytes: number[] = [];
  const word = (value: number) =>
    bytes.push(value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255);
  for (const option of options) {
    switch (option.kind) {
      case "nop":
        bytes.push(1);
        break;
      case "eol":
        bytes.push(0);
        break;
      case "mss":
        bytes.push(2, 4, option.value >>> 8, option.value & 255);
        break;
      case "wscale":
        bytes.push(3, 3, option.value);
        break;
      case "sackOK":
        bytes.push(4, 2);
        break;
      case "sack":
        bytes.push(5, 2 + 8 * option.blocks.length);
        for (const [left, right] of option.blocks) word(left), word(right);
        break;
      case "TS":
        bytes.push(8, 10);
        word(Math.max(0, option.value));
        word(Math.max(0, option.echo));
        break;
      case "FO":
        if (option.experimental) bytes.push(254, 4 + option.cookie.length, 0xf9, 0x89, ...option.cookie);
        else bytes.push(34, 2 + option.cookie.length, ...option.cookie);
        break;
      case "signature":
        bytes.push(SIGNATURE, SIGNATURE_LENGTH, ...new Uint8Array(SIGNATURE_LENGTH - 2));
        break;
      case "raw":
        bytes.push(option.type, 2 + option.bytes.length, ...option.bytes);
        break;
      case "ECN":
        bytes.push(option.counters[0]?.[0] === "e0b" ? 172 : 174, 2 + 3 * option.counters.length);
        for (const [, value] of option.counters) {
          bytes.push(value >>> 16 & 255, value >>> 8 & 255, value & 255);
        }
        break;
    }
  }
  while (whole && bytes.length % 4 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}

function decodeOptions(bytes: Uint8Array): TcpOption[] {
  const options: TcpOption[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length;) {
    const kind = bytes[at]!;
    if (kind === 0) {
      options.push({ kind: "eol" });
      break;
    }
    if (kind === 1) {
      options.push({ kind: "nop" });
      at++;
      continue;
    }
    const length = Math.max(2, bytes[at + 1] ?? 2);
    const value = bytes.slice(at + 2, at + length);
    if (kind === 2 && length === 4) options.push({ kind: "mss", value: view.getUint16(at + 2) });
    else if (kind === 3 && length === 3) options.push({ kind: "wscale", value: value[0]! });
    else if (kind === 4) options.push({ kind: "sackOK" });
    else if (kind === 5) {
      const blocks: [number, number][] = [];
      for (let i = at + 2; i + 8 <= at + length; i += 8) {
        blocks.push([view.getUint32(i), view.getUint32(i + 4)]);
      }
      options.push({ kind: "sack", blocks });
    } else if (kind === 8 && length === 10) {
      options.push({ kind: "TS", value: view.getUint32(at + 2), echo: view.getUint32(at + 6) });
    } else if (kind === 34) options.push({ kind: "FO", cookie: value, experimental: false });
    else if (kind === 254 && value[0] === 0xf9 && value[1] === 0x89) {
      options.push({ kind: "FO", cookie: value.slice(2), experimental: true });
    } else if ((kind === 172 || kind === 174) && value.length <= 9 && value.length % 3 === 0) {
      options.push({ kind: "ECN", counters: decodeCounters(kind, value) });
    } else options.push({ kind: "raw", type: kind, bytes: value });
    at += length;
  }
  return options;
}

/** A frame with an IP packet around `payload`, whose transport checksum is at `checksumAt` (or nowhere, -1). */
export function encodeIp(ip: IpFields, protocol: number, payload: Uint8Array, checksumAt: number): Bytes {
  const v4 = ip.source.version === 4;
  const header = v4 ? 20 : 40;
  const frame = new Uint8Array(LINK + header + payload.length);
  const view = new DataView(frame.buffer);
  frame.set([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2]);
  view.setUint16(12, v4 ? 0x0800 : 0x86dd);
  const at = LINK;
  if (v4) {
    view.setUint16(at, 0x4500 | ip.trafficClass);
    view.setUint16(at + 2, header + payload.length);
    view.setUint16(at + 6, 0x4000);
    view.setUint16(at + 8, ip.hopLimit << 8 | protocol);
    ip.source.write(view, at + 12);
    ip.destination.write(view, at + 16);
    view.setUint16(at + 10, ~sum(frame, at, at + 20) & 0xffff);
  } else {
    view.setUint32(at, 6 << 28 | ip.trafficClass << 20 | ip.flowLabel);
    view.setUint16(at + 4, payload.length);
    view.setUint16(at + 6, protocol << 8 | ip.hopLimit);
    ip.source.write(view, at + 8);
    ip.destination.write(view, at + 24);
  }
  frame.set(payload, at + header);
  if (checksumAt >= 0) {
    const start = at + header;
    let pseudo = 0;
    if (!(v4 && protocol === 1)) {
      pseudo = sum(frame, v4 ? at + 12 : at + 8, at + header) + protocol + payload.length;
    }
    view.setUint16(start + checksumAt, 0);
    const folded = ~sum(frame, start, frame.length, pseudo) & 0xffff;
    view.setUint16(start + checksumAt, folded === 0 && protocol === 17 ? 0xffff : folded);
  }
  return frame;
}

/** The bytes of a TCP header and `length` bytes of zeros; the checksum is left to {@link encodeIp}. */
export function encodeTcp(tcp: TcpFields, length: number): Bytes {
  const options = encodeOptions(tcp.options);
  const header = 20 + options.length;
  const bytes = new Uint8Array(header + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, tcp.sourcePort);
  view.setUint16(2, tcp.destinationPort);
  view.setUint32(4, tcp.sequence);
  view.setUint32(8, tcp.acknowledgment);
  view.setUint16(12, header << 10 | tcp.flags & 0x1ff);
  view.setUint16(14, tcp.window);
  view.setUint16(18, tcp.urgent);
  bytes.set(options, 20);
  return bytes;
}

/**
 * The digest over a segment (RFC 2385, section 2.0). Its payload is zeros, as that of all segments here.
 * @param bytes Header and options; what its checksum is makes no difference. @param length Bytes of payload.
 */
export function signatureOf(
  ip: Pick<IpFields, "source" | "destination">,
  bytes: Uint8Array,
  length: number,
  key: string,
): Uint8Array {
  const v4 = ip.source.version === 4;
  const pseudo = new DataView(new ArrayBuffer(v4 ? 12 : 40));
  ip.source.write(pseudo, 0);
  ip.destination.write(pseudo, v4 ? 4 : 16);
  if (v4) pseudo.setUint32(8, 6 << 16 | bytes.length + length);
  else {
    pseudo.setUint32(32, bytes.length + length);
    pseudo.setUint32(36, 6);
  }
  const fixed = bytes.slice(0, 20);
  fixed.fill(0, 16, 18);
  return createHash("md5").update(new Uint8Array(pseudo.buffer)).update(fixed).update(new Uint8Array(length))
    .update(key).digest();
}

/** Fills in the digests of options that name a key. @param bytes Header, options and payload. */
export function signTcp(ip: IpFields, options: readonly TcpOption[], bytes: Uint8Array): void {
  const at = options.findIndex((option) => option.kind === "signature");
  const option = options[at];
  if (option?.kind !== "signature") return;
  const header = (bytes[12]! >> 4) * 4;
  const place = 20 + encodeOptions(options.slice(0, at), false).length + 2;
  bytes.set(signatureOf(ip, bytes.subarray(0, header), bytes.length - header, option.key), place);
}

/** The bytes of a UDP header and `length` bytes of zeros. */
export function encodeUdp(sourcePort: number, destinationPort: number, length: number): Bytes {
  const bytes = new Uint8Array(8 + length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, bytes.length);
  return bytes;
}

/**
 * Takes a frame apart; null for what scripts don't speak of (ARP, neighbour discovery).
 * @param segment Payload of each segment that the device is to make of it, in bytes; 0 for none.
 */
export function decode(frame: Uint8Array, time: number, segment: number): Captured | null {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
  const type = view.getUint16(12);
  if (type !== 0x0800 && type !== 0x86dd) return null;
  const v4 = type === 0x0800;
  const at = LINK;
  const start = at + (v4 ? (frame[at]! & 15) * 4 : 40);
  const protocol = v4 ? frame[at + 9]! : frame[at + 6]!;
  const ip: IpFields = {
    source: IpAddress.read(v4 ? 4 : 6, view, at + (v4 ? 12 : 8)),
    destination: IpAddress.read(v4 ? 4 : 6, view, at + (v4 ? 16 : 24)),
    trafficClass: v4 ? frame[at + 1]! : view.getUint16(at) >>> 4 & 255,
    hopLimit: v4 ? frame[at + 8]! : frame[at + 7]!,
    flowLabel: v4 ? 0 : view.getUint32(at) & 0xfffff,
  };
  // A super-frame's length field may not hold its length.
  const end = frame.length;
  if (protocol === 6) {
    const word = view.getUint16(start + 12);
    const header = (word >>> 12) * 4;
    return {
      time,
      ip,
      length: end - start - header,
      segment,
      body: {
        protocol: "tcp",
        sourcePort: view.getUint16(start),
        destinationPort: view.getUint16(start + 2),
        sequence: view.getUint32(start + 4),
        acknowledgment: view.getUint32(start + 8),
        flags: word & 0x1ff,
        window: view.getUint16(start + 14),
        urgent: view.getUint16(start + 18),
        options: decodeOptions(frame.subarray(start + 20, start + header)),
        header: frame.slice(start, start + header),
      },
    };
  }
  if (protocol === 17) {
    return {
      time,
      ip,
      length: end - start - 8,
      segment,
      body: {
        protocol: "udp",
        sourcePort: view.getUint16(start),
        destinationPort: view.getUint16(start + 2),
      },
    };
  }
  if (protocol === 1 || (protocol === 58 && (frame[start]! < 133 || frame[start]! > 137))) {
    return {
      time,
      ip,
      length: end - start - 8,
      segment,
      body: {
        protocol: "icmp",
        type: frame[start]!,
        code: frame[start + 1]!,
        rest: view.getUint32(start + 4),
      },
    };
  }
  return null;
}

const V4_TYPES: Record<string, number> = {
  echo_reply: 0,
  unreachable: 3,
  source_quench: 4,
  redirect: 5,
  echo_request: 8,
  time_exceeded: 11,
  parameter_problem: 12,
};
const V4_CODES: Record<string, number> = {
  net_unreachable: 0,
  host_unreachable: 1,
  protocol_unreachable: 2,
  port_unreachable: 3,
  frag_needed: 4,
  source_route_failed: 5,
  net_unknown: 6,
  host_unknown: 7,
  source_host_isolated: 8,
  net_prohibited: 9,
  host_prohibited: 10,
  net_unreachable_for_tos: 11,
  host_unreachable_for_tos: 12,
  packet_filtered: 13,
  precedence_violation: 14,
  precedence_cutoff: 15,
  ttl_exceeded: 0,
  fragment_time_exceeded: 1,
};
const V6_TYPES: Record<string, number> = {
  unreachable: 1,
  packet_too_big: 2,
  time_exceeded: 3,
  parameter_problem: 4,
  echo_request: 128,
  echo_reply: 129,
};
const V6_CODES: Record<string, number> = {
  no_route: 0,
  admin_prohibited: 1,
  not_neighbour: 2,
  addr_unreachable: 3,
  address_unreachable: 3,
  port_unreachable: 4,
  ttl_exceeded: 0,
};

/** Numbers of an ICMP type and code, or null for a name that means nothing. */
export function icmpNumbers(version: 4 | 6, type: string, code: string | null): [number, number] | null {
  const number = /^\d+$/.test(type) ? Number(type) : (version === 4 ? V4_TYPES : V6_TYPES)[type];
  if (number === undefined) return null;
  if (code === null) return [number, 0];
  const codes = /^\d+$/.test(code) ? Number(code) : (version === 4 ? V4_CODES : V6_CODES)[code];
  return codes === undefined ? null : [number, codes];
}

/** The bytes of an ICMP message. @param rest The second word of its header. */
export function encodeIcmp(type: number, code: number, rest: number, quoted: Uint8Array): Bytes {
  const bytes = new Uint8Array(8 + quoted.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = type;
  bytes[1] = code;
  view.setUint32(4, rest);
  bytes.set(quoted, 8);
  return bytes;
}
