/**
 * Answers in words that two hosts have in common: without what each may choose for itself.
 *
 * @module
 */

import { formatDotted, IpAddress } from "../../stack/ip/address.ts";
import { sum, u16, u32 } from "./bytes.ts";

/** A frame that a host has sent. */
export interface Answer {
  /** Which of its two interfaces: 0 is the one that the odd packets come in on. */
  port: number;
  /** The frame. */
  frame: Uint8Array;
}

const TIMESTAMP = 68;
/** Addresses of the host: what comes from another one is passed on. */
const OWN = ["10.9.0.1", "10.9.1.1", "fd09::1", "fd09:1::1", "fe80::1", "fe80::1:1"];

/**
 * What a frame says, or null for what a host says of its own accord: ARP, neighbour discovery, group membership.
 *
 * Left out are redirects, which Linux sends now and then, the identification and DF of what the host itself sends (RFC 6864 leaves them open), times, bytes
 * behind the end of the options (which Linux clears), the
 * flow label, and the class of service of ICMP errors.
 * @param sent What came in, to compare quotes with.
 */
export function describe({ port, frame }: Answer, sent: readonly Uint8Array[]): string | null {
  const type = frame[12]! << 8 | frame[13]!;
  const packet = frame.subarray(14);
  const to = port === 0 ? "" : "far: ";
  if (type === 0x0800) return to + describeV4(packet, sent);
  if (type === 0x86dd) {
    const text = describeV6(packet, sent);
    return text === null ? null : to + text;
  }
  return null;
}

function describeV4(packet: Uint8Array, sent: readonly Uint8Array[]): string {
  const view = new DataView(packet.buffer, packet.byteOffset);
  const header = (packet[0]! & 15) * 4, total = view.getUint16(2);
  const source = formatDotted(view.getUint32(12));
  const ours = OWN.includes(source);
  const words = [
    `${source} > ${formatDotted(view.getUint32(16))}`,
    `ttl ${packet[8]}`,
  ];
  if (sum(packet.subarray(0, header)) !== 0xffff) words.push("BAD HEADER CHECKSUM");
  if (header > 20) words.push(`options ${describeOptions(packet.slice(20, header))}`);
  const field = view.getUint16(6);
  if (!ours || (field & 0x3fff) !== 0) {
    words.push(`id ${view.getUint16(4)} fragment ${field.toString(16)}`);
  }
  const body = packet.subarray(header, total);
  if ((field & 0x1fff) !== 0) return [...words, `protocol ${packet[9]}`, body.toHex()].join(" ");
  const pseudo = [...packet.subarray(12, 20), 0, packet[9]!, ...u16(body.length)];
  return [...words, ...describeBody(packet[9]!, body, pseudo, sent, packet[1]!, ours)].join(" ");
}

function describeV6(packet: Uint8Array, sent: readonly Uint8Array[]): string | null {
  const view = new DataView(packet.buffer, packet.byteOffset);
  const read = (at: number) => IpAddress.read(6, view, at);
  const body = packet.subarray(40, 40 + view.getUint16(4));
  const pseudo = [...packet.subarray(8, 40), ...u32(body.length), 0, 0, 0, packet[6]!];
  const ours = OWN.includes(String(read(8)));
  const words = [`${read(8)} > ${read(24)}`, `hops ${packet[7]}`];
  // Group membership has a hop-by-hop header; the rest is discovery.
  if (packet[6] === 0 && body[0] === 58 && body[8] === 143) return null;
  if (packet[6] === 58 && body[0]! >= 130 && body[0]! <= 137) return null;
  const trafficClass = view.getUint16(0) >> 4 & 0xff;
  return [...words, ...describeBody(packet[6]!, body, pseudo, sent, trafficClass, ours)].join(" ");
}

function describeBody(
  protocol: number,
  body: Uint8Array,
  pseudo: number[],
  sent: readonly Uint8Array[],
  trafficClass: number,
  ours: boolean,
): string[] {
  const view = new DataView(body.buffer, body.byteOffset);
  const words = [`protocol ${protocol}`];
  const checked = protocol === 1 ? [] : pseudo;
  const summed = protocol === 1 || protocol === 58 || protocol === 6 ||
    (protocol === 17 && body.length >= 8 && view.getUint16(6) !== 0);
  // What is passed on may be wrong as it came.
  const right = sum([...checked, ...body]) === 0xffff;
  if (ours && summed && !right) words.push("BAD CHECKSUM");
  const isError = protocol === 1 ? [3, 4, 5, 11, 12].includes(body[0]!) : protocol === 58 && body[0]! < 128;
  if (isError && ours) {
    const quote = body.subarray(8);
    const same = sent.some((frame) => startsWith(frame.subarray(14), quote));
    return [
      ...words,
      `error ${body[0]}/${body[1]} rest ${view.getUint32(4).toString(16)} quotes ${quote.length}${
        same ? "" : " changed"
      }`,
    ];
  }
  words.push(`class ${trafficClass}`);
  if (protocol === 6 && ours && body.length >= 20) {
    const flags = (body[13] ?? 0).toString(16);
    return [
      ...words,
      `flags ${flags} sequence ${view.getUint32(4)} acknowledges ${view.getUint32(8)} data ${
        body.length - 20
      }`,
    ];
  }
  const hex = body.toHex();
  // 0 and 0xffff are the same.
  return [...words, ours && protocol === 1 && right ? `${hex.slice(0, 4)}____${hex.slice(8)}` : hex];
}

function startsWith(bytes: Uint8Array, quote: Uint8Array): boolean {
  if (quote.length > bytes.length) return false;
  for (let i = 0; i < quote.length; i++) if (quote[i] !== bytes[i]) return false;
  return true;
}

/** The options, with every time that is there as `T`. */
function describeOptions(bytes: Uint8Array): string {
  const marks = [...bytes].map((byte) => byte.toString(16).padStart(2, "0"));
  for (let at = 0; at < bytes.length;) {
    const type = bytes[at]!;
    if (type === 0) {
      marks.fill("00", at);
      break;
    }
    const length = type === 1 ? 1 : Math.max(2, bytes[at + 1] ?? 2);
    if (type === TIMESTAMP) {
      const flag = bytes[at + 3]! & 15;
      for (let time = at + (flag === 0 ? 4 : 8); time + 4 <= at + length; time += flag === 0 ? 4 : 8) {
        if (bytes.subarray(time, time + 4).some((byte) => byte !== 0)) marks.fill("T", time, time + 4);
      }
    }
    at += length;
  }
  return marks.join("");
}
