/**
 * Packets in the notation of scripts: `< [ect0] S 0:0(0) win 65535 <mss 1000,sackOK>`.
 *
 * @module
 */

import {
  type AccurateEcnCounter,
  type AccurateEcnOption,
  ANY,
  type Endpoints,
  type IcmpSpec,
  type IpInfo,
  type PacketSpec,
  type TcpOption,
  type TcpSpec,
  type UdpSpec,
} from "./ast.ts";
import { flagsOf } from "./packet_text.ts";
import type { Scanner } from "./scanner.ts";

const INTEGER = /0[xX][0-9a-fA-F]+|\d+/y;
const RANGE = /(\d+)\s*:\s*(\d+)\s*\(\s*(\d+)\s*\)/y;
/** Bytes in hexadecimal digits, with or without 0x in front. */
const HEX = /(?:0[xX])?((?:[0-9a-fA-F]{2})+)(?![0-9a-zA-Z_])/y;
/** What the options of other names are called. */
const ALIASES: Record<string, string> = {
  "exp-FO": "FOEXP",
  "FO-exp": "FOEXP",
  ExpFO: "FOEXP",
  sackok: "sackOK",
  sackOk: "sackOK",
  SACKOK: "sackOK",
  sackPermitted: "sackOK",
  NOP: "nop",
  EOL: "eol",
  MSS: "mss",
  WS: "wscale",
  ts: "TS",
  MD5: "md5",
  AccECN: "ECN",
  accecn: "ECN",
  unknown: "raw",
  gen: "raw",
  generic: "raw",
  option: "raw",
};
const BLOCK = /(\d+)\s*:\s*(\d+)/y;
/** The option's kind (RFC 2385). */
const MD5 = 19;
const ECN = new Set(["noecn", "ect0", "ect1", "ect01", "ce"]);

function integer(scanner: Scanner, what: string): number {
  return Number(scanner.need(INTEGER, what)[0]);
}

/** Takes a packet, direction first. */
export function parsePacket(scanner: Scanner): PacketSpec {
  const endpoints: Endpoints = {
    source: null,
    destination: null,
    sourcePort: null,
    destinationPort: null,
  };
  if (scanner.peek(/(?:gre|mpls)\b/y) !== null) scanner.fail("Tunnels are not supported");
  const inbound = scanner.takes("<");
  if (!inbound) scanner.expect(">");
  const header = scanner.match(/ipv[46]\s+([0-9a-fA-F.:]+)\s*>\s*([0-9a-fA-F.:]+):(?=\s)/y);
  if (header !== null) {
    endpoints.source = header[1]!;
    endpoints.destination = header[2]!;
  }
  const ip = parseIpInfo(scanner);
  return { inbound, ip, endpoints, body: parseBody(scanner, endpoints) };
}

function parseIpInfo(scanner: Scanner): IpInfo {
  const info: IpInfo = { ecn: null, trafficClass: null, flowLabel: null, hopLimit: null };
  for (;;) {
    const close = scanner.takes("[") ? "]" : scanner.takes("(") ? ")" : null;
    if (close === null) return info;
    do parseIpPart(scanner, info); while (scanner.takes(","));
    scanner.expect(close);
  }
}

function parseIpPart(scanner: Scanner, info: IpInfo): void {
  const name = scanner.need(/[a-z_0-9]+/y, "ect0, ect1, ect01, ce, noecn, tos, flowlabel or ttl")[0];
  if (ECN.has(name)) info.ecn = name as NonNullable<IpInfo["ecn"]>;
  else if (name === "tos" || name === "tclass") info.trafficClass = integer(scanner, "a traffic class");
  else if (name === "flowlabel" || name === "flow_label") info.flowLabel = integer(scanner, "a flow label");
  else if (name === "ttl" || name === "hlim" || name === "hop_limit") {
    info.hopLimit = integer(scanner, "a hop limit");
  } else scanner.fail(`Unknown property "${name}" of an IP header`);
}

function parsePorts(scanner: Scanner, endpoints: Endpoints): void {
  const ports = scanner.match(/(\d+)\s*>\s*(\d+)\s*:?/y);
  if (ports === null) return;
  endpoints.sourcePort = Number(ports[1]);
  endpoints.destinationPort = Number(ports[2]);
}

function parseBody(scanner: Scanner, endpoints: Endpoints): TcpSpec | UdpSpec | IcmpSpec {
  if (scanner.match(/udp\b/y) !== null) {
    parsePorts(scanner, endpoints);
    return { protocol: "udp", length: Number(scanner.need(/\(\s*(\d+)\s*\)/y, "(length)")[1]) };
  }
  if (scanner.match(/icmp(?:v[46])?\b/y) !== null) return parseIcmp(scanner);
  scanner.match(/tcp\b/y);
  parsePorts(scanner, endpoints);
  return parseTcp(scanner);
}

function parseTcp(scanner: Scanner): TcpSpec {
  const text = scanner.need(/[A-Z0-9.]+(?=\s)|-(?=\s)/y, "TCP flags")[0];
  const flags = flagsOf(text);
  if (flags === null) scanner.fail(`Unknown TCP flags "${text}"`);
  scanner.match(/seq\b/y);
  const range = scanner.need(RANGE, "sequence numbers like 1:1001(1000)");
  const sequence = Number(range[1]);
  const length = Number(range[3]);
  if ((sequence + length) >>> 0 !== Number(range[2]) >>> 0) {
    scanner.fail(`The length does not fit the sequence numbers in "${range[0]}"`);
  }
  const number = (name: string) => {
    if (scanner.match(new RegExp(`${name}\\b`, "y")) === null) return null;
    return scanner.match(/\*|\.\.\./y) === null ? integer(scanner, `a number after ${name}`) : null;
  };
  const acknowledgment = number("ack");
  const window = number("win");
  const urgent = number("urg");
  return {
    protocol: "tcp",
    flags,
    sequence,
    length,
    acknowledgment,
    window,
    urgent,
    options: parseOptions(scanner),
  };
}

/** `<…>` on the same line; a step that follows begins with a time, so nothing else can be meant. */
function parseOptions(scanner: Scanner): TcpOption[] | null {
  const options: TcpOption[] = [];
  if (!scanner.takes("<")) return options;
  if (scanner.takes("...")) {
    scanner.expect(">");
    return null;
  }
  if (scanner.takes(">")) return options;
  do options.push(parseOption(scanner)); while (scanner.takes(","));
  scanner.expect(">");
  return options;
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** `e1b 1 ceb 0 e0b 1`, or `e0b` first; what stands at the end may be left out. */
function parseCounters(scanner: Scanner): AccurateEcnOption["counters"] {
  const counters: AccurateEcnOption["counters"] = [];
  for (let name = scanner.match(/e0b|ceb|e1b/y); name !== null; name = scanner.match(/e0b|ceb|e1b/y)) {
    counters.push([name[0] as AccurateEcnCounter, integer(scanner, "a number of bytes")]);
  }
  const order = counters.map(([name]) => name).join(" ");
  if (order !== "" && !"e0b ceb e1b".startsWith(order) && !"e1b ceb e0b".startsWith(order)) {
    scanner.fail(`Counters stand in the order "${order}"; write "e0b ceb e1b" or "e1b ceb e0b"`);
  }
  return counters;
}

function parseOption(scanner: Scanner): TcpOption {
  const kind = scanner.match(/\d+(?=[\s,>])/y)?.[0];
  if (kind !== undefined) return parseRaw(scanner, Number(kind));
  const word = scanner.need(/exp-FO|FO-exp|[A-Za-z_]\w*/y, "a TCP option")[0];
  const name = ALIASES[word] ?? word;
  switch (name) {
    case "nop":
    case "eol":
      return { kind: name };
    case "mss":
      return { kind: "mss", value: integer(scanner, "a segment size") };
    case "wscale":
      return { kind: "wscale", value: integer(scanner, "a shift") };
    case "sackOK":
      return { kind: "sackOK" };
    case "sack": {
      const blocks: [number, number][] = [];
      for (let block = scanner.match(BLOCK); block !== null; block = scanner.match(BLOCK)) {
        blocks.push([Number(block[1]), Number(block[2])]);
      }
      return { kind: "sack", blocks };
    }
    case "TS": {
      if (scanner.takes("...")) return { kind: "TS", value: ANY, echo: ANY };
      const part = (word: string, what: string) => {
        scanner.expect(word);
        return scanner.takes("...") ? ANY : integer(scanner, what);
      };
      return { kind: "TS", value: part("val", "TSval"), echo: part("ecr", "TSecr") };
    }
    case "FO":
    case "FOEXP": {
      const hex = scanner.match(/(?:[0-9a-fA-F]{2})*(?![0-9a-zA-Z_])/y)?.[0];
      if (hex === undefined) scanner.fail("Expected a cookie of hexadecimal digits");
      return { kind: "FO", cookie: bytesOf(hex!), experimental: name === "FOEXP" };
    }
    case "ECN":
      return { kind: "ECN", counters: parseCounters(scanner) };
    case "md5": {
      const key = scanner.match(/"([^"\n]*)"/y);
      if (key !== null) return { kind: "signature", key: key[1]! };
      return {
        kind: "raw",
        type: MD5,
        bytes: bytesOf(scanner.match(HEX)?.[1] ?? "00".repeat(16)),
      };
    }
    case "raw":
      return parseRaw(scanner, integer(scanner, "the option's kind"));
  }
  return scanner.fail(`Unknown TCP option "${word}"`);
}

/** The bytes of an option that has no name here. */
function parseRaw(scanner: Scanner, type: number): TcpOption {
  let hex = "";
  for (let part = scanner.match(HEX); part !== null; part = scanner.match(HEX)) hex += part[1];
  return { kind: "raw", type, bytes: bytesOf(hex) };
}

function parseIcmp(scanner: Scanner): IcmpSpec {
  const type = scanner.need(/[a-z_0-9]+/y, "an ICMP type")[0];
  const spec: IcmpSpec = { protocol: "icmp", type, code: null, mtu: 0, identifier: null, quoted: null };
  for (;;) {
    if (scanner.match(/mtu\b/y) !== null) spec.mtu = integer(scanner, "an MTU");
    else if (scanner.match(/id\b/y) !== null) spec.identifier = integer(scanner, "an identifier");
    else if (scanner.sees("[")) break;
    else {
      // A number on the next line is the time of the next step.
      const code = scanner.peek(/[a-z][a-z_0-9]*(?=[\s\[]|$)/y) ?? scanner.peekOnLine(/\d+(?=[\s\[]|$)/y);
      if (code === null) return spec;
      spec.code = scanner.need(/[a-z_0-9]+/y, "an ICMP code")[0];
    }
  }
  scanner.expect("[");
  spec.quoted = parseQuoted(scanner);
  scanner.expect("]");
  return spec;
}

/** What of a packet an error quotes: its numbers; what else stands there is passed over. */
function parseQuoted(scanner: Scanner): IcmpSpec["quoted"] {
  if (scanner.match(/udp\b/y) !== null) {
    scanner.match(/(\d+)\s*>\s*(\d+)\s*:?/y);
    return { protocol: "udp", length: Number(scanner.need(/\(\s*(\d+)\s*\)/y, "(length)")[1]) };
  }
  scanner.match(/tcp\b/y);
  scanner.match(/(\d+)\s*>\s*(\d+)\s*:?/y);
  scanner.match(/[SFRPEWUA.]+(?=\s)/y);
  const range = scanner.need(RANGE, "sequence numbers like 1:1001(1000)");
  scanner.match(/[^\]]*/y);
  return { protocol: "tcp", sequence: Number(range[1]), length: Number(range[3]) };
}
