/**
 * The addresses of a host, over both versions at once.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import type { Stack } from "../../stack/stack.ts";
import { parseHost, zoneOf } from "../address.ts";
import { type HostAddress, sortDestinations } from "./destinations.ts";
import { isLinkName } from "./names.ts";
import type { Outcome } from "./outcome.ts";
import { errorOf } from "./resolve_dns.ts";
import { type Resolver, TooManyQuestions } from "./resolver.ts";

/** Told of addresses as they come: once for each version that is asked for. Empty when there are none. */
export type AddressSink = (version: 4 | 6, addresses: readonly HostAddress[]) => void;

/** The address that a host name is already, with the interface of its zone; null when it is a name. */
export function literalHost(stack: Stack, hostname: string): HostAddress | null {
  // Whatever has a colon can be nothing else; nor can what is all digits and dots.
  if (!/[:[\]%]/.test(hostname) && !/^[0-9.]+$/.test(hostname)) return null;
  return { address: parseHost(hostname), interface: zoneOf(hostname, stack.interfaces) };
}

/**
 * Looks the addresses of a name up, of both versions as far as the stack has addresses of them.
 *
 * @param sink Told as soon as either version's are there.
 * @returns When everything was told. @throws As {@link errorOf}, when there are none; {@link Deno.errors.Busy}.
 */
export async function lookupInto(
  stack: Stack,
  resolver: Resolver,
  hostname: string,
  signal: AbortSignal | null,
  sink: AddressSink,
): Promise<void> {
  let best: Outcome | null = null;
  for (const name of resolver.candidates(hostname)) {
    const outcomes = await Promise.all(
      versionsFor(stack, name).map(async (version) => {
        let outcome: Outcome;
        try {
          outcome = await resolver.resolve(name, version === 4 ? "A" : "AAAA", signal);
        } catch (error) {
          throw error instanceof TooManyQuestions ? new Deno.errors.Busy(error.message) : error;
        }
        sink(version, addressesOf(outcome));
        return outcome;
      }),
    );
    if (outcomes.some(({ kind }) => kind === "found")) return;
    const worst = outcomes.find(({ kind }) =>
      kind === "timedOut" || kind === "noServer" || kind === "serverFailure"
    );
    if (worst !== undefined && worst.kind !== "serverFailure") throw errorOf(worst, hostname, "address");
    const outcome = worst ?? outcomes.find(({ kind }) => kind === "noData") ?? outcomes[0]!;
    if (best === null || best.kind === "noName" || outcome.kind === "serverFailure") best = outcome;
  }
  throw errorOf(best!, hostname, "address");
}

/**
 * The addresses of a host in the order in which they should be tried; at least one.
 *
 * @param hostname A name, or an address. @param signal Gives up.
 * @throws As {@link lookupInto}. @throws {TypeError} It is neither.
 */
export async function lookup(
  stack: Stack,
  resolver: Resolver,
  hostname: string,
  signal?: AbortSignal,
): Promise<HostAddress[]> {
  const literal = literalHost(stack, hostname);
  if (literal !== null) return [literal];
  const found: HostAddress[] = [];
  await lookupInto(
    stack,
    resolver,
    hostname,
    signal ?? null,
    (_version, addresses) => found.push(...addresses),
  );
  return sortDestinations(stack, found);
}

/** The versions that the stack could use what comes back of; both when it has no address yet (RFC 8305, section 7). */
function versionsFor(stack: Stack, name: string): (4 | 6)[] {
  // The link's names have link-local addresses too, and the hosts table and localhost cost nothing.
  if (isLinkName(name)) return [6, 4];
  let four = false, six = false;
  for (const one of stack.interfaces) {
    for (const { address } of one.addresses) {
      if (address.version === 4) four = true;
      else if (!address.isLinkLocal) six = true;
    }
  }
  if (four === six || /(^|\.)localhost$/.test(name)) return [6, 4];
  return four ? [4] : [6];
}

function addressesOf({ records }: Outcome): HostAddress[] {
  return records.map(({ data, interface: by }) => {
    const address = IpAddress.parse(data as string);
    return { address, interface: address.version === 6 && address.isLinkLocal ? by ?? null : null };
  });
}
