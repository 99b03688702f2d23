/**
 * Blocking UDP sockets of the kernel through libc, with segmentation and coalescing by the kernel (UDP_SEGMENT, UDP_GRO):
 * whole super-datagrams go in and out with one call each.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  recvfrom: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
});

const AF_INET = 2, SOCK_DGRAM = 2;
const SOL_SOCKET = 1, SO_RCVTIMEO = 20, SO_RCVBUFFORCE = 33;
const SOL_UDP = 17, UDP_SEGMENT = 103, UDP_GRO = 104;
const SOCKADDR = 16;
/** Bytes of datagrams that may wait. */
const RECEIVE_BUFFER = 4 << 20;

/** Bytes of the longest super-datagram. */
export const MOST = 65536;

/** The form of an address and port that {@link UdpSocket.send} takes. */
export function udpTarget(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SOCKADDR);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  IpAddress.parse(address).write(view, 4);
  return bytes;
}

/** A UDP socket of the kernel, over IPv4. */
export class UdpSocket implements Disposable {
  readonly #fd: number;
  /** Who sent what {@link receive} took last, as {@link send} takes it. */
  readonly from: Uint8Array<ArrayBuffer> = new Uint8Array(SOCKADDR);
  readonly #fromLength = Uint32Array.of(SOCKADDR);
  readonly #fromLengthBytes = new Uint8Array(this.#fromLength.buffer);

  /** @param port Ours; 0 for any. @param timeout Milliseconds that {@link receive} waits. @param segment Bytes of the datagrams of a longer send. */
  constructor(port: number, timeout: number, segment: number) {
    this.#fd = libc.symbols.socket(AF_INET, SOCK_DGRAM, 0);
    const time = BigInt64Array.of(BigInt(Math.floor(timeout / 1000)), BigInt(timeout % 1000) * 1000n);
    const options: [level: number, option: number, value: Uint8Array<ArrayBuffer>][] = [
      [SOL_SOCKET, SO_RCVTIMEO, new Uint8Array(time.buffer)],
      [SOL_SOCKET, SO_RCVBUFFORCE, new Uint8Array(Int32Array.of(RECEIVE_BUFFER).buffer)],
      [SOL_UDP, UDP_GRO, new Uint8Array(Int32Array.of(1).buffer)],
      [SOL_UDP, UDP_SEGMENT, new Uint8Array(Int32Array.of(segment).buffer)],
    ];
    for (const [level, option, value] of options) {
      if (libc.symbols.setsockopt(this.#fd, level, option, value, value.length) !== 0) {
        throw new Error(`Cannot set option ${level}/${option} of a UDP socket`);
      }
    }
    if (libc.symbols.bind(this.#fd, udpTarget("0.0.0.0", port), SOCKADDR) !== 0) {
      throw new Error(`Cannot bind UDP port ${port}`);
    }
  }

  /** Sends the first `length` bytes, as datagrams of the segment's size and one with the rest. @returns Whether the kernel took them. */
  send(target: Uint8Array<ArrayBuffer>, bytes: Uint8Array<ArrayBuffer>, length: number): boolean {
    return libc.symbols.sendto(this.#fd, bytes, length, 0, target, SOCKADDR) === length;
  }

  /** Receives a datagram, or some of one size and one sender. @returns Bytes, or -1 when nothing came in time. */
  receive(bytes: Uint8Array<ArrayBuffer>): number {
    this.#fromLength[0] = SOCKADDR;
    return libc.symbols.recvfrom(this.#fd, bytes, bytes.length, 0, this.from, this.#fromLengthBytes);
  }

  /** Closes it. */
  [Symbol.dispose](): void {
    libc.symbols.close(this.#fd);
  }
}
