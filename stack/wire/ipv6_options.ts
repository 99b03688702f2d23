/**
 * Options of IPv6 hop-by-hop and destination options headers (RFC 8200, section 4.2; RFC 2711 for the router alert; RFC 2675 for
 * jumbo payloads, of which none is taken).
 *
 * ```text
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+- - - - - - - - -
 * |  Option type  | Option length |  Option data
 * +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+- - - - - - - - -
 *  a a c r r r r r   aa: what to do when it is unknown, c: may change on the way
 * ```
 *
 * @module
 */

import { BAD_FIELD, UNKNOWN_OPTION } from "./icmpv6.ts";

/** What {@link checkOptions} says of a block that is in order. */
export const OPTIONS_OK = 0;
/** {@link checkOptions}: an option runs over the end of its block, is not what it has to be, or there are too many. */
export const OPTIONS_MALFORMED = -1;
/** {@link checkOptions}: an unknown option asks to discard the packet. */
export const OPTIONS_DISCARD = -2;

const PAD1 = 0, PADN = 1, ROUTER_ALERT = 5, JUMBO = 0xc2;
/** Bytes of padding in a row, which is for alignment to 8 alone (RFC 4942, section 2.1.9.5). */
const MOST_PADDING = 7;
/** Options of one header, padding not counted (RFC 8504, section 5.3). */
const MOST_OPTIONS = 8;

/**
 * Looks at the options of a header.
 * @param at The header; `end` is one past its last byte. @param group Whether the packet went to a multicast address.
 * @param payloadLength That of the IPv6 header for a hop-by-hop header; -1 for destination options.
 * @returns {@link OPTIONS_OK}, {@link OPTIONS_MALFORMED}, {@link OPTIONS_DISCARD}, or what the sender is to be told:
 *   {@link problemCode} and {@link problemDistance}.
 */
export function checkOptions(
  view: DataView,
  at: number,
  end: number,
  group: boolean,
  payloadLength: number,
): number {
  let padding = 0, count = 0;
  for (let option = at + 2; option < end;) {
    const type = view.getUint8(option);
    if (type === PAD1) {
      if (++padding > MOST_PADDING) return OPTIONS_MALFORMED;
      option++;
      continue;
    }
    if (option + 2 > end) return OPTIONS_MALFORMED;
    const length = view.getUint8(option + 1);
    const next = option + 2 + length;
    if (next > end) return OPTIONS_MALFORMED;
    if (type === PADN) {
      padding += length + 2;
      if (padding > MOST_PADDING) return OPTIONS_MALFORMED;
      for (let i = option + 2; i < next; i++) if (view.getUint8(i) !== 0) return OPTIONS_MALFORMED;
    } else {
      padding = 0;
      if (++count > MOST_OPTIONS) return OPTIONS_MALFORMED;
      const hopByHop = payloadLength >= 0;
      if (hopByHop && type === ROUTER_ALERT) {
        if (length !== 2) return OPTIONS_MALFORMED;
      } else if (hopByHop && type === JUMBO) {
        if (length !== 4 || ((option - at) & 3) !== 2) return OPTIONS_MALFORMED;
        if (view.getUint32(option + 2) <= 0xffff) return problem(BAD_FIELD, option + 2 - at);
        return payloadLength !== 0 ? problem(BAD_FIELD, option - at) : OPTIONS_MALFORMED;
      } else {
        const action = type >>> 6;
        if (action === 1 || (action === 3 && group)) return OPTIONS_DISCARD;
        if (action !== 0) return problem(UNKNOWN_OPTION, option - at);
      }
    }
    option = next;
  }
  return OPTIONS_OK;
}

/** Whether a hop-by-hop header, found in order by {@link checkOptions}, has a router alert (RFC 2711). */
export function hasRouterAlert(view: DataView, at: number, end: number): boolean {
  for (let option = at + 2; option < end;) {
    const type = view.getUint8(option);
    if (type === ROUTER_ALERT) return true;
    option += type === PAD1 ? 1 : 2 + view.getUint8(option + 1);
  }
  return false;
}

/** Code of the ICMPv6 parameter problem that a positive result of {@link checkOptions} asks for. */
export function problemCode(result: number): number {
  return result >> 12;
}

/** Distance from the header to what is wrong in it. */
export function problemDistance(result: number): number {
  return result & 0xfff;
}

function problem(code: number, distance: number): number {
  return code << 12 | distance;
}
