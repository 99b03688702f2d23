/**
 * What the network tells about names.
 *
 * @module
 */

import type { Stack } from "../../stack/stack.ts";

/** Name servers that routers advertise (RFC 8106), link-local ones with their zones; in the order of the interfaces. */
export function toldServers(stack: Stack): string[] {
  return stack.interfaces.flatMap((one) =>
    (one.nd?.routers.nameServers ?? []).filter(({ until }) => until > stack.now)
      .map(({ value }) => value.isLinkLocal ? `${value}%${one.name}` : `${value}`)
  );
}

/** Search domains that routers advertise (RFC 8106), each once. */
export function toldDomains(stack: Stack): string[] {
  const told = stack.interfaces.flatMap((one) =>
    (one.nd?.routers.searchDomains ?? []).filter(({ until }) => until > stack.now).map(({ value }) => value)
  );
  return [...new Set(told)];
}
