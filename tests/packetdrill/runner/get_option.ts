/**
 * getsockopt: what an option is now, compared with what a script expects.
 *
 * @module
 */

import { tcpInfo } from "../../../stack/tcp/info.ts";
import type { Expression } from "./ast.ts";
import { ERRNO } from "./errno.ts";
import { type Attempt, done, type Host, SysError } from "./file.ts";
import { optionName } from "./option_names.ts";
import { TcpSocket } from "./tcp_socket.ts";
import type { UdpSocket } from "./udp_socket.ts";
import { field, isOpen, number, optional } from "./values.ts";

/** @throws {SysError} */
export function getOption(
  host: Host,
  socket: TcpSocket | UdpSocket,
  level: Expression,
  name: Expression,
  value: Expression | undefined,
  size: Expression | undefined,
): Attempt {
  if (size !== undefined && !isOpen(size) && number(size) < 0) throw new SysError("EINVAL");
  const option = optionName(level, name);
  const tcp = socket instanceof TcpSocket ? socket : null;
  const connection = tcp?.connection ?? null;
  const inner = value?.kind === "list" ? value.items[0] : value;
  switch (option) {
    case "SO_ERROR": {
      const error = socket.takeError();
      const got = error === null ? 0 : ERRNO[error]![0];
      const wanted = isOpen(value) ? got : errorNumber(value!);
      return done(0, wanted === got ? null : `SO_ERROR ${wanted} got ${got} (${error ?? "no error"})`);
    }
    case "TCP_INFO":
      if (connection === null) return done(0);
      return done(0, infoMismatch(value, tcpInfo(connection) as unknown as Record<string, number>));
    case "SO_TYPE":
      return matched(value, tcp !== null ? 1 : 2, option);
    case "SO_PROTOCOL":
      return matched(value, tcp !== null ? 6 : 17, option);
    case "SO_DOMAIN":
      return matched(value, socket.version === 4 ? 2 : 10, option);
    case "SO_ACCEPTCONN":
      return matched(value, tcp !== null && tcp.listener !== null ? 1 : 0, option);
    case "SO_RCVTIMEO":
    case "SO_SNDTIMEO": {
      const { receiveTimeout, sendTimeout } = socket.options;
      const micros = option === "SO_RCVTIMEO" ? receiveTimeout : sendTimeout;
      const sec = Math.floor(micros / 1e6), usec = micros % 1e6;
      const fits = optional(field(inner, "tv_sec", 0), sec) === sec &&
        optional(field(inner, "tv_usec", 1), usec) === usec;
      return done(0, fits ? null : `${option} got {tv_sec=${sec}, tv_usec=${usec}}`);
    }
    case "SO_LINGER": {
      const { on, seconds } = socket.options.linger;
      const part = (key: string, place: number) =>
        field(inner, key, place) ?? field(inner, `l_${key}`, place);
      const onoff = optional(part("onoff", 0), on ? 1 : 0), linger = optional(part("linger", 1), seconds);
      const fits = onoff === (on ? 1 : 0) && linger === seconds;
      return done(0, fits ? null : `SO_LINGER got {onoff=${on ? 1 : 0}, linger=${seconds}}`);
    }
    case "IP_MTU":
    case "IPV6_MTU": {
      const mtu = socket instanceof TcpSocket ? connection?.path.mtu ?? null : socket.pathMtu;
      if (mtu === null) throw new SysError("ENOTCONN");
      return matched(value, mtu, option);
    }
    case "TCP_SAVED_SYN":
      return savedSyn(tcp, size);
  }
  return matched(value, socket.options.get(level, name, connection, host), option ?? "option");
}

/** The SYN that a listener with TCP_SAVE_SYN kept is given away once. */
function savedSyn(tcp: TcpSocket | null, size: Expression | undefined): Attempt {
  const length = tcp?.savedSyn ?? 0;
  if (length > 0 && optional(size, length) < length) throw new SysError("EINVAL");
  if (tcp !== null) tcp.savedSyn = 0;
  return done(0);
}

function matched(expected: Expression | undefined, got: number | string, option: string): Attempt {
  if (isOpen(expected)) return done(0);
  const e = expected!.kind === "list" && expected!.items.length === 1 ? expected!.items[0]! : expected!;
  const wanted = e.kind === "string" ? e.value.replace(/\0.*$/s, "") : isOpen(e) ? got : number(e);
  return done(0, wanted === got ? null : `${option} ${wanted} got ${got}`);
}

/** A number, or the name of an error. */
function errorNumber(e: Expression): number {
  const inner = e.kind === "list" && e.items.length === 1 ? e.items[0]! : e;
  const known = inner.kind === "symbol" ? ERRNO[inner.name] : undefined;
  return known === undefined ? number(inner) : known[0];
}

function infoMismatch(value: Expression | undefined, info: Record<string, number>): string | null {
  const struct = value?.kind === "list" ? value.items[0] : value;
  if (struct?.kind !== "struct") return null;
  for (const [name, expected] of struct.fields) {
    const got = info[name.replace(/^tcpi_/, "")];
    if (got === undefined || isOpen(expected)) continue;
    if (number(expected) !== got) return `${name}=${number(expected)} got ${got}`;
  }
  return null;
}
