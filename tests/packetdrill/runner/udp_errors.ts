/**
 * What ICMP says of datagrams, as Linux hands it to the socket that sent them.
 *
 * @module
 */

import type { Packet } from "../../../stack/packet.ts";
import { CONSTANTS as K } from "./constants.ts";
import type { Control } from "./control.ts";
import { ERRNO } from "./errno.ts";

/** One error. */
export interface UdpError {
  errno: string;
  /** Whether a socket that has not asked for errors hears of it as well. */
  hard: boolean;
  control: Control;
}

/** Errors by the code of a message that a destination is unreachable, and whether they are hard. */
const UNREACHABLE_V4: [string, boolean][] = [
  ["ENETUNREACH", false],
  ["EHOSTUNREACH", false],
  ["ENOPROTOOPT", true],
  ["ECONNREFUSED", true],
  ["EMSGSIZE", true],
  ["EOPNOTSUPP", false],
  ["ENETUNREACH", true],
  ["EHOSTDOWN", true],
  ["ENONET", true],
  ["ENETUNREACH", true],
  ["EHOSTUNREACH", true],
  ["ENETUNREACH", false],
  ["EHOSTUNREACH", false],
  ["EHOSTUNREACH", true],
  ["EHOSTUNREACH", true],
  ["EHOSTUNREACH", true],
];
const UNREACHABLE_V6: [string, boolean][] = [
  ["ENETUNREACH", false],
  ["EACCES", true],
  ["EHOSTUNREACH", false],
  ["EHOSTUNREACH", false],
  ["ECONNREFUSED", true],
  ["EACCES", true],
  ["EACCES", true],
];

function meaning(v4: boolean, type: number, code: number): [string, boolean] {
  const table = v4 ? UNREACHABLE_V4 : UNREACHABLE_V6;
  if (type === (v4 ? 3 : 1)) return table[code] ?? [v4 ? "EHOSTUNREACH" : "EPROTO", true];
  if (!v4 && type === 2) return ["EMSGSIZE", true];
  return type === (v4 ? 11 : 3) ? ["EHOSTUNREACH", false] : ["EPROTO", true];
}

/** The error that a packet tells of. @param mtu Of the next hop, where it is about that. */
export function errorOf(packet: Packet, mtu: number): UdpError {
  const { view, outer } = packet;
  const v4 = packet.version === 4;
  const icmp = outer + (v4 ? (view.getUint8(outer) & 15) * 4 : 40);
  const type = view.getUint8(icmp), code = view.getUint8(icmp + 1);
  const [errno, hard] = meaning(v4, type, code);
  const origin = v4 ? K.SO_EE_ORIGIN_ICMP! : K.SO_EE_ORIGIN_ICMP6!;
  return {
    errno,
    hard,
    control: {
      level: v4 ? K.SOL_IP! : K.SOL_IPV6!,
      type: v4 ? K.IP_RECVERR! : K.IPV6_RECVERR!,
      values: [ERRNO[errno]![0], origin, type, code, errno === "EMSGSIZE" ? mtu : 0, 0],
      stamp: null,
    },
  };
}
