/**
 * `resolveDns`, in the shape of Deno's.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import { formatHostPort } from "../address.ts";
import { reverseName } from "./names.ts";
import type { Outcome } from "./outcome.ts";
import type { CaaData, DnsRecord, MxData, NaptrData, SoaData, SrvData } from "./records.ts";
import { type Resolver, TooManyQuestions } from "./resolver.ts";
import { DNS_PORT, parseNameServer } from "./server.ts";

/** What `resolveDns` takes beside name and type. */
export interface ResolveDnsOptions {
  /** Ask this server and no other; nothing is remembered. */
  nameServer?: {
    /** Its IP address. */
    ipAddr: string;
    /** Its port. Default 53. */
    port?: number;
  };
  /** Gives up when it is aborted. */
  signal?: AbortSignal;
}

/** Who may certify. */
export interface CaaRecord {
  /** Who does not understand it must not certify. */
  critical: boolean;
  /** The property. */
  tag: string;
  /** Its value. */
  value: string;
}

const decoder = new TextDecoder();
/** Types whose records are one name. */
const HOSTS = ["ANAME", "CNAME", "NS", "PTR"];
const KNOWN = ["A", "AAAA", "CAA", "CNAME", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "TXT"];

/** What each type of record becomes. */
export interface DnsResults {
  /** IPv4 addresses. */
  A: string[];
  /** IPv6 addresses. */
  AAAA: string[];
  /** Who may certify. */
  CAA: CaaRecord[];
  /** The name that it is an alias of, with its last dot. */
  CNAME: string[];
  /** Where mail goes. */
  MX: MxData[];
  /** Rewriting. */
  NAPTR: NaptrData[];
  /** Servers of the zone. */
  NS: string[];
  /** Names of an address. */
  PTR: string[];
  /** The start of the zone. */
  SOA: SoaData[];
  /** Where a service is. */
  SRV: SrvData[];
  /** Texts, each of several strings. */
  TXT: string[][];
}

/** Types that {@link resolveDns} asks for. */
export type DnsType = keyof DnsResults;

/**
 * Asks the DNS; `Network.resolveDns` is this with the network's own resolver.
 *
 * @param resolver Who asks. @param query A name, or for PTR also an address. @param type Of record. @param options Whom.
 * @returns The records, in Deno's form: names end with their dot.
 * @throws {Deno.errors.NotFound} There is no such name, or no such record (`code` `ENOTFOUND` or `ENODATA`).
 * @throws {Deno.errors.TimedOut} No server answers.
 * @throws {Deno.errors.NotConnected} No server is known.
 * @throws {Deno.errors.Busy} Too many questions are under way.
 * @throws {Deno.errors.ConnectionRefused} The servers do not want to answer, or can't.
 * @throws {TypeError} Not a name, or not a type.
 */
export async function resolveDns<T extends DnsType>(
  resolver: Resolver,
  query: string,
  type: T,
  options: ResolveDnsOptions = {},
): Promise<DnsResults[T]> {
  if (!KNOWN.includes(type)) {
    throw new TypeError(`Cannot resolve records of type "${type}": use one of ${KNOWN.join(", ")}`);
  }
  const { nameServer, signal = null } = options;
  const servers = nameServer === undefined ? null : [serverText(nameServer)];
  const address = IpAddress.tryParse(query);
  const candidates = address !== null && type === "PTR"
    ? [reverseName(address)]
    : address !== null
    ? [query]
    : resolver.candidates(query);
  const outcome = await resolveFirst(resolver, candidates, type, signal, servers);
  if (outcome.kind !== "found") throw errorOf(outcome, query, type);
  return outcome.records.map((record) => resultOf(record)) as DnsResults[T];
}

/** Tries names one after the other until one is there. */
export async function resolveFirst(
  resolver: Resolver,
  candidates: readonly string[],
  type: string,
  signal: AbortSignal | null,
  servers: readonly string[] | null = null,
): Promise<Outcome> {
  let best: Outcome | null = null;
  for (const name of candidates) {
    let outcome: Outcome;
    try {
      outcome = await resolver.resolve(name, type, signal, servers);
    } catch (error) {
      throw error instanceof TooManyQuestions ? new Deno.errors.Busy(error.message) : error;
    }
    if (outcome.kind === "found" || outcome.kind === "timedOut" || outcome.kind === "noServer") {
      return outcome;
    }
    // That one of the names is there, although not with this type, says more than that the last is not.
    if (best === null || best.kind === "noName" || outcome.kind === "serverFailure") best = outcome;
  }
  return best!;
}

/** The error that tells of an outcome without records. */
export function errorOf({ kind }: Outcome, query: string, what: string): Error {
  switch (kind) {
    case "noName":
      return coded(new Deno.errors.NotFound(`Cannot resolve "${query}": there is no such name`), "ENOTFOUND");
    case "noData":
      return coded(
        new Deno.errors.NotFound(`Cannot resolve "${query}": it has no ${what} record`),
        "ENODATA",
      );
    case "serverFailure":
      return coded(
        new Deno.errors.ConnectionRefused(`Cannot resolve "${query}": the name servers failed`),
        "ESERVFAIL",
      );
    case "noServer":
      return coded(
        new Deno.errors.NotConnected(
          `Cannot resolve "${query}": no name server is known; give one as { dns: { servers } }`,
        ),
        "ECONNREFUSED",
      );
    default:
      return coded(new Deno.errors.TimedOut(`Cannot resolve "${query}": no name server answers`), "ETIMEOUT");
  }
}

function coded(error: Error, code: string): Error {
  return Object.assign(error, { code });
}

function serverText({ ipAddr, port = DNS_PORT }: { ipAddr: string; port?: number }): string {
  const text = formatHostPort(ipAddr, port);
  if (!ipAddr.includes("%")) parseNameServer(text, []);
  return text;
}

function resultOf({ type, data }: DnsRecord): unknown {
  if (HOSTS.includes(type)) return `${data}.`;
  switch (type) {
    case "MX": {
      const { preference, exchange } = data as MxData;
      return { preference, exchange: `${exchange}.` };
    }
    case "SRV": {
      const { priority, weight, port, target } = data as SrvData;
      return { priority, weight, port, target: `${target}.` };
    }
    case "SOA": {
      const { mname, rname, serial, refresh, retry, expire, minimum } = data as SoaData;
      return { mname: `${mname}.`, rname: `${rname}.`, serial, refresh, retry, expire, minimum };
    }
    case "NAPTR": {
      const { order, preference, flags, services, regexp, replacement } = data as NaptrData;
      return { order, preference, flags, services, regexp, replacement: `${replacement}.` };
    }
    case "CAA": {
      const { flags, tag, value } = data as CaaData;
      return { critical: (flags & 0x80) !== 0, tag, value };
    }
    case "TXT":
      return (data as Uint8Array[]).map((part) => decoder.decode(part));
    default:
      return data;
  }
}
