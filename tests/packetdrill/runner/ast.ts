/**
 * What a script says, as the parser hands it to the runner. Times are whole µs, sequence numbers unsigned.
 *
 * @module
 */

/** When an event is due. Relative times count from the event before. */
export type When =
  | { kind: "at"; relative: boolean; time: number }
  | { kind: "range"; relative: boolean; from: number; to: number }
  | { kind: "any" };

/** In place of a number that may be anything (`...`). */
export const ANY = -1;

/** One option of a TCP header. Sequence numbers of SACK blocks are the script's. */
export type TcpOption =
  | { kind: "nop" }
  | { kind: "eol" }
  | { kind: "mss"; value: number }
  | { kind: "wscale"; value: number }
  | { kind: "sackOK" }
  | { kind: "sack"; blocks: [number, number][] }
  | { kind: "TS"; value: number; echo: number }
  /** A signature (RFC 2385) made with a key, in place of its bytes. */
  | { kind: "signature"; key: string }
  | { kind: "FO"; cookie: Uint8Array; experimental: boolean }
  | AccurateEcnOption
  | { kind: "raw"; type: number; bytes: Uint8Array };

/** The counters of AccECN (RFC 9768, section 3.2.3), in the order in which they stand; those at the end may be missing. */
export interface AccurateEcnOption {
  kind: "ECN";
  counters: [name: AccurateEcnCounter, bytes: number][];
}

/** Bytes that came as ECT(0), marked, or as ECT(1). */
export type AccurateEcnCounter = "e0b" | "ceb" | "e1b";

/** The two low bits of the traffic class, or what is asked of them. */
export type Ecn = "noecn" | "ect0" | "ect1" | "ect01" | "ce";

/** What stands in brackets in front of a packet. */
export interface IpInfo {
  ecn: Ecn | null;
  /** DSCP and ECN together, or null when nothing is said. */
  trafficClass: number | null;
  flowLabel: number | null;
  hopLimit: number | null;
}

/** `SRC > DST` ports and addresses, where a script names them. */
export interface Endpoints {
  source: string | null;
  destination: string | null;
  sourcePort: number | null;
  destinationPort: number | null;
}

/** One TCP segment. Null means that the script says nothing. */
export interface TcpSpec {
  protocol: "tcp";
  flags: number;
  sequence: number;
  length: number;
  acknowledgment: number | null;
  window: number | null;
  urgent: number | null;
  /** Null for `<...>`: whatever. */
  options: TcpOption[] | null;
}

/** One UDP datagram. */
export interface UdpSpec {
  protocol: "udp";
  length: number;
}

/** One ICMP message. */
export interface IcmpSpec {
  protocol: "icmp";
  type: string;
  code: string | null;
  mtu: number;
  /** Of an echo. */
  identifier: number | null;
  /** What of the packet that it is about is quoted; null takes the last one that was sent. */
  quoted: { protocol: "tcp"; sequence: number; length: number } | { protocol: "udp"; length: number } | null;
}

/** A packet, with what stands around it. */
export interface PacketSpec {
  inbound: boolean;
  ip: IpInfo;
  endpoints: Endpoints;
  body: TcpSpec | UdpSpec | IcmpSpec;
}

/** A value in the arguments of a call. */
export type Expression =
  | { kind: "ellipsis" }
  | { kind: "number"; value: number }
  | { kind: "symbol"; name: string }
  | { kind: "string"; value: string; open: boolean }
  | { kind: "list"; items: Expression[] }
  | { kind: "struct"; fields: Map<string, Expression>; items: Expression[] }
  | { kind: "call"; name: string; args: Expression[] }
  | { kind: "unary"; operator: string; operand: Expression }
  | { kind: "binary"; operator: string; left: Expression; right: Expression };

/** A system call and what it is to return. */
export interface CallSpec {
  name: string;
  args: Expression[];
  /** When a blocking call returns, or null for at once. Relative like its start. */
  end: number | null;
  result: Expression;
  errno: string | null;
}

/** What happens at one point of a script. */
export type Action =
  | { kind: "packet"; packet: PacketSpec }
  | { kind: "call"; call: CallSpec }
  | { kind: "command"; text: string }
  | { kind: "code"; text: string };

/** One step of a script. */
export interface Step {
  file: string;
  line: number;
  when: When;
  action: Action;
  /** As it is written. */
  text: string;
}

/** A parsed file. */
export interface Script {
  file: string;
  /** `--name=value` lines, in order; the value is empty when there is none. */
  options: [name: string, value: string][];
  steps: Step[];
}
