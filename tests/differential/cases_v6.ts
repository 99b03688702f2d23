/**
 * Odd IPv6 packets.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { Random } from "../simulation/random.ts";
import { type Bytes, checksummed, frame, LINK, u16, u32 } from "./bytes.ts";
import type { Case } from "./cases.ts";

const ETHERTYPE = 0x86dd;
const PEER = address("fd09::2"), HOST = address("fd09::1");

function address(text: string): Bytes {
  return [...IpAddress.parse(text).toBytes()];
}

function transport(random: Random, tags: string[], source: Bytes, destination: Bytes): [number, Bytes] {
  const data = Array.from({ length: random.between(0, 40) }, () => random.between(0, 255));
  const whole = (protocol: number, bytes: Bytes, field: number): [number, Bytes] => [
    protocol,
    checksummed(bytes, field, [...source, ...destination, ...u32(bytes.length), 0, 0, 0, protocol]),
  ];
  switch (random.pick(["echo", "echo", "echo", "udp", "tcp", "icmp", "unknown", "nothing"])) {
    case "udp":
      tags.push("udp");
      return whole(17, [
        ...u16(4000),
        ...u16(random.between(1000, 60000)),
        ...u16(8 + data.length),
        0,
        0,
        ...data,
      ], 6);
    case "tcp": {
      tags.push("tcp");
      const flags = random.pick([0x02, 0x10, 0x12, 0x18, 0x01, 0x04, 0, 0x29]);
      const bytes = [
        ...u16(4000),
        ...u16(random.between(1000, 60000)),
        ...u32(random.word()),
        ...u32(random.word()),
      ];
      return whole(6, [...bytes, 0x50, flags, 1, 0, 0, 0, 0, 0, ...data], 16);
    }
    case "icmp": {
      const type = random.pick([1, 2, 3, 4, 100, 127, 129, 138, 139, 144, 200, 255]);
      tags.push(`icmp ${type}`);
      return whole(58, [type, random.between(0, 3), 0, 0, ...u32(random.word()), ...data], 2);
    }
    case "unknown":
      tags.push("unknown protocol");
      return [random.pick([61, 99, 200, 253]), data];
    case "nothing":
      tags.push("no next header");
      return [59, data];
    default:
      tags.push("echo");
      return whole(58, [128, 0, 0, 0, ...u16(7), ...u16(random.between(0, 65535)), ...data], 2);
  }
}

/** Options that fill a header of a multiple of 8 bytes. */
function options(random: Random, tags: string[], hopByHop: boolean): Bytes {
  const bytes: Bytes = [];
  for (let count = random.between(0, 2); count > 0; count--) {
    const kind = random.pick(["pad", "alert", "ignore", "drop", "tell", "tell one", "jumbo", "bent"]);
    tags.push(`${hopByHop ? "hop" : "destination"} option ${kind}`);
    const length = random.between(0, 6);
    const unknown = (type: number) => [type, length, ...new Array(length).fill(3)];
    switch (kind) {
      case "pad":
        bytes.push(...random.pick<Bytes>([[0], [1, 0], [1, 2, 0, 0], [1, 1, 7], [1, 6, 0, 0, 0, 0, 0, 0]]));
        break;
      case "alert":
        bytes.push(...random.pick([[5, 2, 0, 0], [5, 2, 0, 0], [5, 1, 0], [5, 4, 0, 0, 0, 0]]));
        break;
      case "ignore":
        bytes.push(...unknown(0x1e));
        break;
      case "drop":
        bytes.push(...unknown(0x5e));
        break;
      case "tell":
        bytes.push(...unknown(0x9e));
        break;
      case "tell one":
        bytes.push(...unknown(0xde));
        break;
      case "jumbo":
        while (bytes.length % 4 !== 0) bytes.push(0);
        bytes.push(0xc2, 4, ...u32(random.pick([0, 100, 65535, 65536, 100000])));
        break;
      default:
        bytes.push(0x1e, random.pick([9, 40, 255]), 1);
    }
  }
  const padding = (8 - (bytes.length + 2) % 8) % 8;
  if (padding === 1) bytes.push(0);
  else if (padding > 1) bytes.push(1, padding - 2, ...new Array(padding - 2).fill(0));
  return bytes;
}

/** An extension header without its first byte, which says what follows. */
function extension(random: Random, tags: string[], kind: number, number: number): Bytes {
  switch (kind) {
    case 43: {
      const type = random.pick([0, 0, 1, 2, 100, 253]), left = random.pick([0, 0, 1, 2, 255]);
      tags.push("routing", `routing ${type} ${left > 0 ? "left" : "used up"}`);
      return [2, type, left, 0, 0, 0, 0, ...address("2001:db8::1")];
    }
    case 44: {
      const field = random.pick([0, 0, 0, 6]);
      tags.push("fragment header", field === 0 ? "atomic" : "reserved bits");
      return [0, ...u16(field), ...u32(number)];
    }
    default: {
      const body = options(random, tags, kind === 0);
      return [(body.length + 2) / 8 - 1, ...body];
    }
  }
}

/** Extension headers in any order, before a transport. @returns The first header's number, and all bytes. */
function chain(
  random: Random,
  tags: string[],
  first: number,
  payload: Bytes,
  number: number,
): [number, Bytes] {
  const long = random.chance(0.02);
  if (long) tags.push("long chain");
  const kinds = Array.from(
    { length: long ? random.pick([8, 9, 50, 100]) : random.between(1, 4) },
    () => long ? 60 : random.pick([0, 0, 43, 44, 60, 60, 60]),
  );
  if (kinds.lastIndexOf(0) > 0) tags.push("late hop-by-hop");
  if (kinds.indexOf(44) !== kinds.lastIndexOf(44)) tags.push("two fragment headers");
  let next = first;
  let bytes = payload;
  for (const kind of kinds.reverse()) {
    bytes = [next, ...(long ? [0, 1, 4, 0, 0, 0, 0] : extension(random, tags, kind, number)), ...bytes];
    next = kind;
  }
  return [next, bytes];
}

/** Cuts a payload into fragments, in some order, and does harm to them. */
function fragments(random: Random, tags: string[], next: number, payload: Bytes, number: number): Bytes[] {
  const size = random.pick([8, 16, 24, 32]);
  const parts: { at: number; more: number; bytes: Bytes }[] = [];
  for (let at = 0; at < payload.length; at += size) {
    parts.push({ at, more: at + size < payload.length ? 1 : 0, bytes: payload.slice(at, at + size) });
  }
  const harm = random.pick([
    "none",
    "none",
    "swap",
    "lose",
    "repeat",
    "overlap",
    "odd",
    "far",
    "two ends",
    "empty",
  ]);
  tags.push("fragments", `harm ${harm}`);
  if (size < 24) tags.push("small fragments");
  const one = random.between(0, parts.length - 1);
  const some = parts[one]!;
  switch (harm) {
    case "swap":
      parts.reverse();
      break;
    case "lose":
      parts.splice(one, 1);
      break;
    case "repeat":
      parts.splice(random.between(0, parts.length - 1), 0, some);
      break;
    case "overlap":
      if (parts.length > 1) {
        const at = random.between(1, parts.length - 1);
        parts.splice(random.between(0, parts.length - 1), 0, { ...parts[at]!, at: parts[at]!.at - 8 });
      }
      break;
    case "odd":
      some.bytes = some.bytes.slice(0, Math.max(1, some.bytes.length - 3));
      break;
    case "far":
      parts.push({ ...some, at: 65528 });
      break;
    case "two ends":
      parts.push({ ...some, at: 800, more: 0 });
      break;
    case "empty":
      parts.splice(one, 0, { ...some, bytes: [] });
  }
  return parts.map(({ at, more, bytes }) => [next, 0, ...u16(at | more), ...u32(number), ...bytes]);
}

const SOURCES: [string, Bytes][] = [
  ["multicast", address("ff02::5")],
  ["unspecified", address("::")],
  ["loopback", address("::1")],
  ["own", HOST],
  ["other own", address("fd09:1::1")],
  ["mapped", address("::ffff:10.9.0.2")],
  ["link-local", address("fe80::2")],
  ["off link", address("2001:db8::9")],
];

const DESTINATIONS: [string, Bytes][] = [
  ["all nodes", address("ff02::1")],
  ["group", address("ff02::99")],
  ["interface-local group", address("ff01::1")],
  ["reserved group", address("ff00::1")],
  ["wide group", address("ff0e::99")],
  ["unspecified", address("::")],
  ["loopback", address("::1")],
  ["mapped", address("::ffff:10.9.0.1")],
  ["other own", address("fd09:1::1")],
  ["link-local", address("fe80::77")],
  ["peer", PEER],
  ["beyond", address("fd09:1::2")],
  ["beyond", address("fd09:1::2")],
  ["beyond", address("fd09:1::2")],
  ["nowhere", address("2001:db8:dead::1")],
];

/** One case of many, decided by chance. */
export function caseV6(random: Random, number: number): Case {
  const tags = ["v6"];
  const odd = (name: string, probability: number) => random.chance(probability) && tags.push(name) > 0;
  let source = PEER, destination = HOST, to: readonly number[] = LINK.host;
  if (random.chance(0.12)) {
    const [name, bytes] = random.pick(SOURCES);
    tags.push(`from ${name}`);
    source = bytes;
  }
  if (random.chance(0.25)) {
    const [name, bytes] = random.pick(DESTINATIONS);
    tags.push(`to ${name}`);
    destination = bytes;
    if (destination[0] === 0xff) to = [0x33, 0x33, ...destination.slice(12)];
  }
  if (to === LINK.host && odd("link broadcast", 0.03)) to = LINK.broadcast;
  let [next, payload] = transport(random, tags, source, destination);
  if (odd("l4 checksum", 0.05) && payload.length > 3) payload[payload.length - 1]! ^= 0x55;
  if (odd("large", 0.03) && next === 58) {
    const bytes = [...payload.slice(0, 2), 0, 0, ...payload.slice(4), ...new Array(1280).fill(1)];
    payload = checksummed(bytes, 2, [...source, ...destination, ...u32(bytes.length), 0, 0, 0, 58]);
  }
  const hops = random.pick([64, 64, 64, 2, 1, 0]);
  if (hops < 2) tags.push("no hops");
  const packet = (first: number, bytes: Bytes, length = bytes.length) => [
    ...u32(0x60000000 | random.pick([0, 0, 0x12345, 0x0b800000 & 0xfffff])),
    ...u16(length),
    first,
    hops,
    ...source,
    ...destination,
    ...bytes,
  ];
  if (random.chance(0.2) && payload.length > 8) {
    const behind = random.chance(0.3);
    if (behind) [next, payload] = [60, [next, 0, 1, 4, 0, 0, 0, 0, ...payload]];
    const parts = fragments(random, tags, next, payload, number);
    return { tags, frames: parts.map((bytes) => frame(ETHERTYPE, packet(44, bytes), to)) };
  }
  if (random.chance(0.6)) [next, payload] = chain(random, tags, next, payload, number);
  let bytes = packet(next, payload);
  if (odd("payload length", 0.03)) {
    bytes = packet(
      next,
      payload,
      random.pick([0, 1, 7, Math.max(0, payload.length - 1), payload.length + 60, 65535]),
    );
  }
  if (odd("version", 0.01)) bytes[0] = 0x50;
  return { tags, frames: [frame(ETHERTYPE, bytes, to)] };
}
