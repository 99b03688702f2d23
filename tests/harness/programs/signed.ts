/**
 * The kernel's side of signed connections (RFC 2385), over both versions of IP.
 *
 * `signed.ts connect ADDRESS PORT KEY BYTES` sends so many bytes, and prints as JSON how many came back as they went.
 * `signed.ts serve ADDRESS PORT KEY PEER` sends back what comes of connections that PEER signs.
 * An error's number stands in the JSON as `errno`.
 *
 * @module
 */

import { IpAddress } from "../../../stack/ip/address.ts";

const AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, IPPROTO_TCP = 6, SHUT_WR = 1;
const TCP_MD5SIG = 14;
const SOL_SOCKET = 1, SO_RCVTIMEO = 20, SO_SNDTIMEO = 21;
/** Seconds after which nothing more is waited for. */
const PATIENCE = 5;
/** struct tcp_md5sig: its size, and where length and key are. */
const SIGNATURE_SIZE = 216, KEY_LENGTH_AT = 130, KEY_AT = 136;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
}).symbols;
const errno = new Deno.UnsafePointerView(libc.__errno_location()!);

/** @throws {Error} A call failed; `cause` is the error's number. */
function check(result: number, call: string): number {
  if (result < 0) throw new Error(`${call} failed`, { cause: errno.getInt32() });
  return result;
}

function socketAddress(address: IpAddress, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(address.version === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, address.version === 4 ? AF_INET : AF_INET6, true);
  view.setUint16(2, port);
  address.write(view, address.version === 4 ? 4 : 8);
  return bytes;
}

function setKey(fd: number, peer: IpAddress, key: string): void {
  const bytes = new Uint8Array(SIGNATURE_SIZE);
  bytes.set(socketAddress(peer, 0));
  new DataView(bytes.buffer).setUint16(KEY_LENGTH_AT, key.length, true);
  bytes.set(new TextEncoder().encode(key), KEY_AT);
  check(libc.setsockopt(fd, IPPROTO_TCP, TCP_MD5SIG, bytes, bytes.length), "setsockopt");
}

function connect(fd: number, address: IpAddress, port: number, key: string, bytes: number): void {
  const patience = new Uint8Array(16);
  new DataView(patience.buffer).setBigInt64(0, BigInt(PATIENCE), true);
  for (const which of [SO_RCVTIMEO, SO_SNDTIMEO]) {
    check(libc.setsockopt(fd, SOL_SOCKET, which, patience, patience.length), "setsockopt");
  }
  if (key !== "") setKey(fd, address, key);
  const at = socketAddress(address, port);
  check(libc.connect(fd, at, at.length), "connect");
  const data = Uint8Array.from({ length: bytes }, (_, i) => i * 31 & 255);
  for (let sent = 0; sent < bytes;) {
    sent += check(libc.write(fd, data.subarray(sent), bytes - sent), "write");
  }
  check(libc.shutdown(fd, SHUT_WR), "shutdown");
  const part = new Uint8Array(1 << 16);
  let back = 0;
  for (;;) {
    const length = check(libc.read(fd, part, part.length), "read");
    if (length === 0) break;
    for (let i = 0; i < length; i++) {
      if (part[i] !== data[back + i]) throw new Error(`Byte ${back + i} differs`);
    }
    back += length;
  }
  console.log(JSON.stringify({ back }));
}

function serve(fd: number, address: IpAddress, port: number, key: string, peer: IpAddress): void {
  setKey(fd, peer, key);
  const at = socketAddress(address, port);
  check(libc.bind(fd, at, at.length), "bind");
  check(libc.listen(fd, 16), "listen");
  console.log("listening");
  const part = new Uint8Array(1 << 16);
  for (;;) {
    const accepted = check(libc.accept(fd, null, null), "accept");
    for (let length = 1; length > 0;) {
      length = libc.read(accepted, part, part.length);
      for (let sent = 0; sent < length;) {
        sent += check(libc.write(accepted, part.subarray(sent, length), length - sent), "write");
      }
    }
    libc.close(accepted);
  }
}

if (import.meta.main) {
  const [mode = "", host = "", port = "", key = "", last = ""] = Deno.args;
  const address = IpAddress.parse(host);
  const fd = check(libc.socket(address.version === 4 ? AF_INET : AF_INET6, SOCK_STREAM, 0), "socket");
  try {
    if (mode === "connect") connect(fd, address, Number(port), key, Number(last));
    else serve(fd, address, Number(port), key, IpAddress.parse(last));
  } catch (error) {
    console.log(JSON.stringify({ errno: (error as Error).cause ?? String(error) }));
  }
}
