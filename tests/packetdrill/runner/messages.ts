/**
 * struct msghdr: what sendmsg is told beside the data, and what recvmsg tells.
 *
 * @module
 */

import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Control, messageMismatch } from "./control.ts";
import { TcpSocket } from "./tcp_socket.ts";
import type { Datagram, DatagramOptions, UdpSocket } from "./udp_socket.ts";
import { addressMismatch, field, isOpen, number } from "./values.ts";

/** How far a timestamp may be from what a script says, in µs. */
export const STAMP_TOLERANCE = 10_000;

/** What the control messages of sendmsg ask for. */
export interface Asked extends DatagramOptions {
  /** SO_TIMESTAMPING's bits of this call, or null for the socket's. */
  stamping: number | null;
}

/** Reads the control messages of sendmsg. */
export function askedOf(message: Expression | undefined): Asked {
  const asked: Asked = { stamping: null };
  const control = field(message, "msg_control", 3);
  if (control?.kind !== "list") return asked;
  for (const item of control.items) {
    const level = number(field(item, "cmsg_level", 0)!), type = number(field(item, "cmsg_type", 1)!);
    const data = field(item, "cmsg_data", 2);
    if (data === undefined || isOpen(data) || data.kind === "struct") continue;
    const value = number(data);
    if (level === K.SOL_SOCKET && type === K.SO_TIMESTAMPING) asked.stamping = value;
    else if (level === K.SOL_UDP && type === K.UDP_SEGMENT) asked.segment = value;
    else if (level === K.SOL_IP && type === K.IP_TTL) asked.hopLimit = value;
    else if (level === K.SOL_IP && type === K.IP_TOS) asked.trafficClass = value;
    else if (level === K.SOL_IPV6 && type === K.IPV6_HOPLIMIT) asked.hopLimit = value;
    else if (level === K.SOL_IPV6 && type === K.IPV6_TCLASS) asked.trafficClass = value;
  }
  return asked;
}

/** The timestamps of what was read, as far as a socket has asked for them. */
function stamps(socket: TcpSocket | UdpSocket, at: number | null): Control[] {
  if (at === null) return [];
  const { stamping } = socket.options;
  const found: Control[] = [];
  const add = (type: number) => found.push({ level: K.SOL_SOCKET!, type, values: null, stamp: at });
  if (socket.options.flag("SOL_SOCKET", "SO_TIMESTAMPNS")) add(K.SCM_TIMESTAMPNS!);
  else if (socket.options.flag("SOL_SOCKET", "SO_TIMESTAMP")) add(K.SCM_TIMESTAMP!);
  const wanted = K.SOF_TIMESTAMPING_RX_SOFTWARE! | K.SOF_TIMESTAMPING_SOFTWARE!;
  if ((stamping & wanted) === wanted) add(K.SCM_TIMESTAMPING!);
  return found;
}

/** What a datagram tells of its way. */
function ways(socket: UdpSocket, from: Datagram): Control[] {
  const found: Control[] = [];
  const { options } = socket;
  const add = (level: "SOL_IP" | "SOL_IPV6", asked: string, type: string, value: number | null) => {
    if (!options.flag(level, asked)) return;
    found.push({ level: K[level]!, type: K[type]!, values: value === null ? null : [value], stamp: null });
  };
  if (from.source.version === 4) {
    add("SOL_IP", "IP_PKTINFO", "IP_PKTINFO", null);
    add("SOL_IP", "IP_RECVTTL", "IP_TTL", from.hopLimit);
    add("SOL_IP", "IP_RECVTOS", "IP_TOS", from.trafficClass);
  } else {
    add("SOL_IPV6", "IPV6_RECVPKTINFO", "IPV6_PKTINFO", null);
    add("SOL_IPV6", "IPV6_RECVHOPLIMIT", "IPV6_HOPLIMIT", from.hopLimit);
    add("SOL_IPV6", "IPV6_RECVTCLASS", "IPV6_TCLASS", from.trafficClass);
  }
  return found;
}

/** What differs between what a script expects of recvmsg and what came. */
export function receivedMismatch(
  socket: TcpSocket | UdpSocket,
  message: Expression,
  room: number,
): string | null {
  if (socket instanceof TcpSocket) {
    const c = socket.connection;
    const got = c === null ? [] : stamps(socket, socket.readStamp);
    if (c !== null && socket.options.inq) {
      // A FIN has a number, and counts.
      const waiting = socket.queued(K.SIOCINQ!) + (c.finReceived ? 1 : 0);
      got.push({ level: K.SOL_TCP!, type: K.TCP_CM_INQ!, values: [waiting], stamp: null });
    }
    return messageMismatch(message, got, 0, STAMP_TOLERANCE);
  }
  const { last } = socket;
  if (last === null) return messageMismatch(message, [], 0, STAMP_TOLERANCE);
  const got = [...stamps(socket, last.at), ...ways(socket, last)];
  const flags = last.length > room ? K.MSG_TRUNC! : 0;
  return addressMismatch(field(message, "msg_name", 0), last.source, last.port) ??
    messageMismatch(message, got, flags, STAMP_TOLERANCE);
}
