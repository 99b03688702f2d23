/**
 * Records and messages of the DNS as the resolver and the responder handle them.
 *
 * @module
 */

import type { Interface } from "../../stack/link/interface.ts";

/** Types that are taken apart; of the others the bytes are kept, under the name `TYPE` with the number (RFC 3597). */
export const TYPES: Readonly<Record<string, number>> = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  HINFO: 13,
  MX: 15,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  NAPTR: 35,
  DNAME: 39,
  OPT: 41,
  NSEC: 47,
  ANY: 255,
  CAA: 257,
};

const NAMES = new Map(Object.entries(TYPES).map(([name, number]) => [number, name]));

/** What a type is called: `A`, or `TYPE99` when it is not taken apart here. */
export function typeName(number: number): string {
  return NAMES.get(number) ?? `TYPE${number}`;
}

/** The number of a type. @throws {TypeError} When there is none. */
export function typeNumber(name: string): number {
  const number = TYPES[name] ?? (/^TYPE[0-9]{1,5}$/.test(name) ? Number(name.slice(4)) : -1);
  if (number < 0 || number > 65535) throw new TypeError(`Unknown record type "${name}"`);
  return number;
}

/** Where mail goes. */
export interface MxData {
  /** The smallest is tried first. */
  preference: number;
  /** The host. */
  exchange: string;
}

/** Where a service is (RFC 2782). */
export interface SrvData {
  /** The smallest is tried first. */
  priority: number;
  /** Among equals. */
  weight: number;
  /** The port. */
  port: number;
  /** The host. */
  target: string;
}

/** The start of a zone. */
export interface SoaData {
  /** The first server. */
  mname: string;
  /** Whose mailbox. */
  rname: string;
  /** The version. */
  serial: number;
  /** Seconds. */
  refresh: number;
  /** Seconds. */
  retry: number;
  /** Seconds. */
  expire: number;
  /** Seconds for which it is remembered that something is not there (RFC 2308). */
  minimum: number;
}

/** Who may certify (RFC 8659). */
export interface CaaData {
  /** Bit 7: it must be understood. */
  flags: number;
  /** The property. */
  tag: string;
  /** Its value. */
  value: string;
}

/** Rewriting of names (RFC 3403). */
export interface NaptrData {
  /** In which order. */
  order: number;
  /** Among equals. */
  preference: number;
  /** What the result is. */
  flags: string;
  /** For what. */
  services: string;
  /** How. */
  regexp: string;
  /** Or by what. */
  replacement: string;
}

/** What is there (RFC 4034, as RFC 6762, section 6.1 uses it). */
export interface NsecData {
  /** In multicast DNS: the name itself. */
  nextDomain: string;
  /** Types that exist. */
  rrtypes: string[];
}

/** What a record says, by its type. */
export type RecordData =
  | string
  | MxData
  | SrvData
  | SoaData
  | CaaData
  | NaptrData
  | NsecData
  | Uint8Array[]
  | Uint8Array;

/** One record of class IN. */
export interface DnsRecord {
  /** Whose. */
  name: string;
  /** As {@link typeName} tells it. */
  type: string;
  /** Seconds. */
  ttl: number;
  /**
   * An address (A, AAAA) or name (CNAME, DNAME, NS, PTR), the strings of a TXT, an object of the type's own, or bytes.
   */
  data: RecordData;
  /** Multicast DNS: it replaces what was known of its name and type (RFC 6762, section 10.2). */
  flush?: boolean;
  /** Multicast DNS: where it was heard. */
  interface?: Interface;
}

/** One question of class IN, or ANY in multicast DNS. */
export interface DnsQuestion {
  /** About whom. */
  name: string;
  /** As {@link typeName} tells it. */
  type: string;
  /** Multicast DNS: the answer may come by unicast (RFC 6762, section 5.4). */
  unicast?: boolean;
}

/** One message. Records of other classes than IN are left out. */
export interface DnsMessage {
  /** Which question an answer belongs to. */
  id: number;
  /** Whether it answers. */
  response: boolean;
  /** Kind of query; 0 is the usual one. */
  opcode: number;
  /** The server speaks for the zone. */
  authoritative: boolean;
  /** There is more, which found no room. */
  truncated: boolean;
  /** The server looks further by itself. */
  recursionAvailable: boolean;
  /** How it went (with the upper bits of EDNS): see {@link Rcode}. */
  rcode: number;
  /** Whether the sender knows EDNS. */
  edns: boolean;
  /** What was asked. */
  questions: DnsQuestion[];
  /** What answers it. */
  answers: DnsRecord[];
  /** Who speaks for the zone; in a probe what is to be. */
  authorities: DnsRecord[];
  /** What else may be of use; without OPT. */
  additionals: DnsRecord[];
}

/** How it went (RFC 1035, section 4.1.1). */
export const Rcode = {
  NoError: 0,
  FormatError: 1,
  ServerFailure: 2,
  NameError: 3,
  NotImplemented: 4,
  Refused: 5,
} as const;
