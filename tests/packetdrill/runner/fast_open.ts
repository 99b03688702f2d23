/**
 * Fast Open as Linux's sockets have it: MSG_FASTOPEN, TCP_FASTOPEN_CONNECT, and the keys.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import { hasCookie, synRoom } from "../../../stack/tcp/fast_open.ts";
import type { ServerCookies } from "../../../stack/tcp/fast_open_cookies.ts";
import { FAST_OPEN_CLIENT } from "../../../stack/tcp/settings.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, SysError } from "./file.ts";
import { result } from "./file.ts";
import type { TcpSocket } from "./tcp_socket.ts";

/** Most bytes that a SYN carries. */
const ZEROS = new Uint8Array(1 << 16);

/** Whether `connect` may wait for the first write: there is a cookie for the data to go with. */
export function mayDefer(socket: TcpSocket, address: IpAddress): boolean {
  const { tcp } = socket.host.stack;
  const path = socket.host.stack.path(address, localOf(socket));
  return path !== null && hasCookie(tcp, path, socket.options.fastOpenNoCookie);
}

function localOf(socket: TcpSocket): IpAddress | undefined {
  const address = socket.bound?.address ?? null;
  return address === null || address.isUnspecified ? undefined : address;
}

/** sendto with MSG_FASTOPEN, and the first write after a `connect` that waits for it. */
export function sendFastOpen(
  socket: TcpSocket,
  length: number,
  flags: number,
  address: IpAddress,
  port: number,
): Attempt {
  if ((socket.host.stack.tcp.settings.fastOpen & FAST_OPEN_CLIENT) === 0) throw new SysError("EOPNOTSUPP");
  const wait = !socket.nonblocking && (flags & K.MSG_DONTWAIT!) === 0;
  const nonblocking = socket.nonblocking;
  let copied = 0;
  let connecting: Attempt | null = null;
  if (socket.connection === null) {
    socket.nonblocking = false;
    try {
      connecting = socket.connect(address, port, true);
    } finally {
      socket.nonblocking = nonblocking;
    }
    const c = socket.connection as TcpSocket["connection"];
    copied = c!.write(ZEROS, 0, Math.min(length, synRoom(c!)));
    if (!wait && copied > 0) return { run: () => result(copied), deadline: Infinity };
    if (!wait) throw new SysError("EINPROGRESS");
  } else if (!socket.connection.connecting) {
    if (!socket.connecting) throw new SysError("EISCONN");
    // The end of the handshake is told by this call.
    socket.connecting = false;
    return socket.write(length, flags);
  } else if (!wait) {
    throw new SysError("EALREADY");
  } else {
    connecting = socket.connect(address, port);
  }
  const writing = copied === length ? null : socket.write(length - copied, flags);
  return {
    deadline: Infinity,
    run: () => {
      if (connecting!.run() === null) return null;
      if (writing === null) return result(copied);
      const got = writing.run();
      return got === null || got.value < 0 ? got : result(copied + got.value);
    },
  };
}

/** The key of Fast Open that a shared defaults script sets. */
export const DEFAULT_KEY = "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4";

/** Keys as the sysctl has them: one or two, each of four hexadecimal words. @throws {TypeError} */
export function keysOf(text: string): Uint8Array[] {
  return text.split(",").map((key) => {
    const words = key.trim().split("-").map((word) => parseInt(word, 16));
    if (words.length !== 4 || words.some(Number.isNaN)) throw new TypeError(`No Fast Open key: "${text}"`);
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    words.forEach((word, i) => view.setUint32(4 * i, word, true));
    return bytes;
  });
}

/** Sets keys as the sysctl has them. @throws {TypeError} */
export function setKeyText(cookies: ServerCookies, text: string): void {
  const keys = keysOf(text);
  cookies.setKeys(keys[0]!, keys[1] ?? null);
}

/** Keys as TCP_FASTOPEN_KEY has them: 16 bytes, or 32. @throws {SysError} */
export function setKeyBytes(cookies: ServerCookies, text: string): void {
  if (text.length !== 16 && text.length !== 32) throw new SysError("EINVAL");
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  cookies.setKeys(bytes.slice(0, 16), bytes.length === 32 ? bytes.slice(16) : null);
}
