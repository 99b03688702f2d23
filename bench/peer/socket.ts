/**
 * Blocking TCP sockets of the kernel through libc: the fastest peer that one thread of Deno can be, so that a figure
 * measures the contender and not the load.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  send: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  recv: { parameters: ["i32", "buffer", "u32", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sendfile: { parameters: ["i32", "i32", "buffer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
  __errno_location: { parameters: [], result: "pointer" },
});

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const SO_LINGER = 13;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const TCP_CONGESTION = 13;
const SHUT_WR = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_TRUNC = 0x20;
const POLLIN = 1;
const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;

/** Seconds after which a blocked call gives up: a peer never hangs. */
const TIMEOUT = 5;

const errno = new Int32Array(
  Deno.UnsafePointerView.getArrayBuffer(libc.symbols.__errno_location()!, 4) as ArrayBuffer,
);

/**
 * For people to read, never to decide by: between a call and this V8 may compile or collect garbage, and then errno is
 * that of a call of its own.
 */
function failed(what: string): Error {
  return new Error(`${what} failed, it seems with errno ${errno[0]}`);
}

/** A `sockaddr_in` or `sockaddr_in6`. */
function socketAddress(text: string, port: number): Uint8Array<ArrayBuffer> {
  const address = IpAddress.parse(text);
  const bytes = new Uint8Array(address.version === 4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, family(address), true);
  view.setUint16(2, port);
  address.write(view, address.version === 4 ? 4 : 8);
  return bytes;
}

function family(address: IpAddress): number {
  return address.version === 4 ? AF_INET : AF_INET6;
}

function timeval(seconds: number): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(16));
  view.setBigInt64(0, BigInt(seconds), true);
  return new Uint8Array(view.buffer);
}

/** Bytes in pages of the kernel, which {@link Socket.sendPages} sends without copying them. */
export class Pages {
  /** @internal The file in memory that holds them. */
  readonly fd: number;
  /** How many bytes. */
  readonly length: number;

  /** Puts the bytes there. */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.fd = libc.symbols.memfd_create(new TextEncoder().encode("pages\0"), 0);
    this.length = bytes.length;
    if (libc.symbols.write(this.fd, bytes, bytes.length) !== bytes.length) throw failed("Filling pages");
  }
}

/** A connected TCP socket of the kernel. */
export class Socket implements Disposable {
  readonly #fd: number;
  readonly #offset = new Float64Array(1);
  readonly #offsetBytes = new Uint8Array(this.#offset.buffer);

  private constructor(fd: number) {
    this.#fd = fd;
    const one = new Uint8Array(new Int32Array([1]).buffer);
    libc.symbols.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, 4);
    libc.symbols.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeval(TIMEOUT), 16);
    libc.symbols.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeval(TIMEOUT), 16);
  }

  /** Connects, waiting for the handshake. @param congestion Its congestion control; the namespace's by default. */
  static connect(address: string, port: number, congestion = ""): Socket {
    const target = socketAddress(address, port);
    const socket = new Socket(libc.symbols.socket(target[0]!, SOCK_STREAM, 0));
    if (congestion !== "") {
      const name = new TextEncoder().encode(congestion);
      if (libc.symbols.setsockopt(socket.#fd, IPPROTO_TCP, TCP_CONGESTION, name, name.length) !== 0) {
        throw failed(`Choosing congestion control "${congestion}"`);
      }
    }
    if (libc.symbols.connect(socket.#fd, target, target.length) !== 0) {
      throw failed(`Connecting to ${address}:${port}`);
    }
    return socket;
  }

  /** Starts to connect and returns at once; {@link wait} for it to become writable, which tells how it went. */
  static start(address: Uint8Array<ArrayBuffer>): Socket {
    const socket = new Socket(libc.symbols.socket(address[0]!, SOCK_STREAM | SOCK_NONBLOCK, 0));
    libc.symbols.connect(socket.#fd, address, address.length);
    return socket;
  }

  /** The form of an address that {@link start} takes. */
  static address(address: string, port: number): Uint8Array<ArrayBuffer> {
    return socketAddress(address, port);
  }

  /** Sends the first `length` bytes, all of them. */
  send(buffer: Uint8Array<ArrayBuffer>, length = buffer.length): number {
    const sent = libc.symbols.send(this.#fd, buffer, length, MSG_NOSIGNAL);
    if (sent <= 0) throw failed("Sending");
    return sent;
  }

  /** Sends pages without copying them; returns how many bytes were sent. */
  sendPages(pages: Pages): number {
    this.#offset[0] = 0;
    const sent = libc.symbols.sendfile(this.#fd, pages.fd, this.#offsetBytes, pages.length);
    if (sent <= 0) throw failed("Sending");
    return sent;
  }

  /** Receives up to the buffer's length; 0 at the end of the stream. */
  receive(buffer: Uint8Array<ArrayBuffer>): number {
    const received = libc.symbols.recv(this.#fd, buffer, buffer.length, 0);
    if (received < 0) throw failed("Receiving");
    return received;
  }

  /** Takes up to `length` bytes out of the receive queue without copying them anywhere; 0 at the end. */
  discard(buffer: Uint8Array<ArrayBuffer>, length: number): number {
    const received = libc.symbols.recv(this.#fd, buffer, length, MSG_TRUNC);
    if (received < 0) throw failed("Receiving");
    return received;
  }

  /**
   * Waits until it is readable or writable, `timeout` in milliseconds. Throws if that does not happen, or the
   * connection has failed.
   */
  wait(event: "readable" | "writable", timeout = TIMEOUT * 1000): void {
    const view = new DataView(new ArrayBuffer(8));
    view.setInt32(0, this.#fd, true);
    view.setInt16(4, event === "readable" ? POLLIN : POLLOUT, true);
    if (libc.symbols.poll(new Uint8Array(view.buffer), 1, timeout) !== 1) {
      throw failed(`Waiting to be ${event}`);
    }
    // What could not even be begun hangs up at once; a refusal comes with an error.
    if ((view.getInt16(6, true) & (POLLERR | POLLHUP)) !== 0) {
      throw new Error(`Waiting to be ${event}: the connection failed with error ${this.#error()}`);
    }
  }

  /** The kernel's pending error of the socket; 0 for none, or for a connection that could not be begun. */
  #error(): number {
    const value = new Int32Array(1);
    const length = new Uint8Array(Int32Array.of(4).buffer);
    libc.symbols.getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, new Uint8Array(value.buffer), length);
    return value[0]!;
  }

  /** Ends the sending direction. */
  closeWrite(): void {
    if (libc.symbols.shutdown(this.#fd, SHUT_WR) !== 0) throw failed("Shutting down");
  }

  /** Makes closing send a reset, so that no port is kept in TIME-WAIT. */
  resetOnClose(): void {
    libc.symbols.setsockopt(this.#fd, SOL_SOCKET, SO_LINGER, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]), 8);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    libc.symbols.close(this.#fd);
  }
}
