/**
 * Odd IPv4 packets.
 *
 * @module
 */

import type { Random } from "../simulation/random.ts";
import { type Bytes, checksummed, frame, LINK, sum, u16, u32 } from "./bytes.ts";
import type { Case } from "./cases.ts";

const PEER = [10, 9, 0, 2], HOST = [10, 9, 0, 1];
const ETHERTYPE = 0x0800;

/** What an IPv4 packet is made of. */
interface Packet {
  source: Bytes;
  destination: Bytes;
  protocol: number;
  payload: Bytes;
  options: Bytes;
  ttl: number;
  identification: number;
  fragment: number;
  trafficClass: number;
}

function build(packet: Packet): Bytes {
  const options = [...packet.options];
  while (options.length % 4 !== 0) options.push(0);
  const header = [
    0x45 + options.length / 4,
    packet.trafficClass,
    ...u16(20 + options.length + packet.payload.length),
    ...u16(packet.identification),
    ...u16(packet.fragment),
    packet.ttl,
    packet.protocol,
    0,
    0,
    ...packet.source,
    ...packet.destination,
    ...options,
  ];
  return [...withChecksum(header), ...packet.payload];
}

function withChecksum(header: Bytes): Bytes {
  const copy = [...header];
  copy[10] = copy[11] = 0;
  [copy[10], copy[11]] = u16(~sum(copy) & 0xffff) as [number, number];
  return copy;
}

/** A right ICMP, UDP or TCP payload, or one of no known protocol. */
function transport(random: Random, tags: string[], source: Bytes, destination: Bytes): [number, Bytes] {
  const data = Array.from({ length: random.between(0, 40) }, () => random.between(0, 255));
  const pseudo = (
    protocol: number,
    length: number,
  ) => [...source, ...destination, 0, protocol, ...u16(length)];
  switch (random.pick(["echo", "echo", "echo", "udp", "tcp", "icmp", "unknown"])) {
    case "udp": {
      tags.push("udp");
      const bytes = [
        ...u16(4000),
        ...u16(random.between(1000, 60000)),
        ...u16(8 + data.length),
        0,
        0,
        ...data,
      ];
      return [17, checksummed(bytes, 6, pseudo(17, bytes.length))];
    }
    case "tcp": {
      tags.push("tcp");
      const flags = random.pick([0x02, 0x10, 0x12, 0x18, 0x01, 0x04, 0, 0x29]);
      const bytes = [
        ...u16(4000),
        ...u16(random.between(1000, 60000)),
        ...u32(random.word()),
        ...u32(random.word()),
      ];
      bytes.push(0x50, flags, 1, 0, 0, 0, 0, 0, ...data);
      return [6, checksummed(bytes, 16, pseudo(6, bytes.length))];
    }
    case "icmp": {
      const type = random.pick([0, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14, 15, 17, 30, 37, 42, 200]);
      tags.push(`icmp ${type}`);
      return [1, checksummed([type, random.between(0, 3), 0, 0, ...u32(random.word()), ...data], 2, [])];
    }
    case "unknown":
      tags.push("unknown protocol");
      return [random.pick([61, 99, 200, 253]), data];
    default:
      tags.push("echo");
      return [1, checksummed([8, 0, 0, 0, ...u16(7), ...u16(random.between(0, 65535)), ...data], 2, [])];
  }
}

/** One or more options, right and wrong. */
function options(random: Random, tags: string[]): Bytes {
  const bytes: Bytes = [];
  const address = () => random.pick([HOST, PEER, [10, 9, 1, 1], [192, 0, 2, 1], [0, 0, 0, 0]]);
  for (let count = random.between(1, 3); count > 0 && bytes.length < 24; count--) {
    const room = random.between(0, 3);
    const kind = random.pick(["route", "stamp", "stamp", "source", "alert", "fill", "end", "noise"]);
    tags.push(`option ${kind}`);
    let option: Bytes = [];
    switch (kind) {
      case "route":
        option = [7, 3 + 4 * room, 4 + 4 * random.between(0, room), ...new Array(4 * room).fill(0)];
        break;
      case "stamp": {
        const flag = random.pick([0, 0, 1, 1, 3, 3, 2]);
        const entry = flag === 0 ? 4 : 8;
        const entries = Math.min(room, flag === 0 ? 3 : 2);
        const body = Array.from(
          { length: entries },
          () => [...(flag === 3 ? address() : [0, 0, 0, 0]), 0, 0, 0, 0],
        )
          .flatMap((list) => list.slice(0, entry));
        const full = random.pick([0, 0, 0, 14, 15]);
        option = [68, 4 + body.length, 5 + entry * random.between(0, entries), full << 4 | flag, ...body];
        break;
      }
      case "source":
        option = [random.pick([131, 137]), 3 + 4 * room, 4 + 4 * random.between(0, room)];
        for (let i = 0; i < room; i++) option.push(...address());
        break;
      case "alert":
        option = [148, 4, 0, random.pick([0, 0, 1])];
        break;
      case "fill":
        option = [1];
        break;
      case "end":
        option = [0];
        break;
      default:
        option = [
          random.pick([2, 25, 82, 130, 133, 136, 142, 205, 255]),
          2 + room,
          ...new Array(room).fill(9),
        ];
    }
    if (random.chance(0.2)) {
      tags.push("option bent");
      option[Math.min(option.length - 1, random.between(1, 3))] = random.pick([
        0,
        1,
        2,
        3,
        4,
        5,
        9,
        38,
        40,
        41,
        255,
      ]);
    }
    bytes.push(...option);
  }
  return bytes.slice(0, 40);
}

/** Cuts a payload into fragments, in some order, and does harm to them. */
function fragments(random: Random, tags: string[], packet: Packet): Bytes[] {
  const size = random.pick([8, 8, 16, 24]);
  const parts: Packet[] = [];
  for (let at = 0; at < packet.payload.length; at += size) {
    const more = at + size < packet.payload.length;
    parts.push({
      ...packet,
      payload: packet.payload.slice(at, at + size),
      fragment: at >> 3 | (more ? 0x2000 : 0),
    });
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
        parts.splice(random.between(0, parts.length - 1), 0, {
          ...parts[at]!,
          fragment: parts[at]!.fragment - 1,
        });
      }
      break;
    case "odd":
      some.payload = some.payload.slice(0, Math.max(1, some.payload.length - 3));
      break;
    case "far":
      parts.push({ ...some, fragment: 0x1fff });
      break;
    case "two ends":
      parts.push({ ...some, fragment: 0x0040, payload: some.payload });
      break;
    case "empty":
      parts.splice(one, 0, { ...some, payload: [] });
  }
  return parts.map(build);
}

const SOURCES: [string, Bytes][] = [
  ["multicast", [224, 0, 0, 5]],
  ["broadcast", [255, 255, 255, 255]],
  ["directed broadcast", [10, 9, 0, 255]],
  ["zero", [0, 0, 0, 0]],
  ["zero network", [0, 1, 2, 3]],
  ["loopback", [127, 0, 0, 1]],
  ["own", HOST],
  ["other own", [10, 9, 1, 1]],
  ["reserved", [240, 0, 0, 1]],
  ["off link", [192, 0, 2, 9]],
];

const DESTINATIONS: [string, Bytes][] = [
  ["all hosts", [224, 0, 0, 1]],
  ["group", [239, 1, 2, 3]],
  ["broadcast", [255, 255, 255, 255]],
  ["directed broadcast", [10, 9, 0, 255]],
  ["far broadcast", [10, 9, 1, 255]],
  ["network", [10, 9, 0, 0]],
  ["zero", [0, 0, 0, 0]],
  ["loopback", [127, 0, 0, 1]],
  ["other own", [10, 9, 1, 1]],
  ["reserved", [240, 0, 0, 1]],
  ["peer", PEER],
  ["beyond", [10, 9, 1, 2]],
  ["beyond", [10, 9, 1, 2]],
  ["beyond", [10, 9, 1, 2]],
  ["nowhere", [198, 51, 100, 1]],
];

/** One case of many, decided by chance. */
export function caseV4(random: Random, number: number): Case {
  const tags = ["v4"];
  const odd = (name: string, probability: number) => random.chance(probability) && tags.push(name) > 0;
  let source = PEER, destination = HOST, to: readonly number[] = LINK.host;
  if (random.chance(0.12)) {
    const [name, address] = random.pick(SOURCES);
    tags.push(`from ${name}`);
    source = address;
  }
  if (random.chance(0.3)) {
    const [name, address] = random.pick(DESTINATIONS);
    tags.push(`to ${name}`);
    destination = address;
    if (destination[0]! >>> 4 === 14) {
      to = [1, 0, 0x5e, destination[1]! & 127, destination[2]!, destination[3]!];
    } else if (name.includes("broadcast") && random.chance(0.8)) to = LINK.broadcast;
  }
  if (to === LINK.host && odd("link broadcast", 0.04)) to = LINK.broadcast;
  const [protocol, payload] = transport(random, tags, source, destination);
  const packet: Packet = {
    source,
    destination,
    protocol,
    payload,
    options: random.chance(0.35) ? options(random, tags) : [],
    ttl: random.pick([64, 64, 64, 2, 1, 0]),
    identification: number & 0xffff,
    fragment: random.pick([0, 0x4000]),
    trafficClass: random.pick([0, 0, 0x10, 0xb8, 1, 3]),
  };
  if (packet.ttl < 2) tags.push("no hops");
  if (packet.options.length === 0) tags.push("no options");
  if (odd("l4 checksum", 0.05) && payload.length > 3) payload[payload.length - 1]! ^= 0x55;
  if (random.chance(0.2) && payload.length > 8) {
    return { tags, frames: fragments(random, tags, packet).map((bytes) => frame(ETHERTYPE, bytes, to)) };
  }
  let bytes = build(packet);
  const header = (bytes[0]! & 15) * 4;
  const fix = (change: () => void) => {
    change();
    bytes = [...withChecksum(bytes.slice(0, header)), ...bytes.slice(header)];
  };
  if (odd("large", 0.03)) {
    packet.payload = [...payload, ...new Array(1420).fill(1)];
    if (protocol === 1) {
      packet.payload = checksummed([...packet.payload.slice(0, 2), 0, 0, ...packet.payload.slice(4)], 2, []);
    }
    bytes = build(packet);
  }
  if (odd("ip checksum", 0.02)) bytes[11]! ^= 1;
  if (odd("version", 0.01)) fix(() => bytes[0] = 0x55);
  if (odd("header length", 0.02)) fix(() => bytes[0] = 0x40 | random.between(0, 4));
  if (odd("total length", 0.03)) {
    fix(() => [bytes[2], bytes[3]] = u16(random.pick([0, 19, 21, header - 1, 1600])) as [number, number]);
  }
  if (odd("reserved flag", 0.02)) fix(() => bytes[6]! |= 0x80);
  return { tags, frames: [frame(ETHERTYPE, bytes, to)] };
}
