/**
 * A UDP socket as Linux's applications know it.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import { IcmpError } from "../../../stack/ip/path.ts";
import type { Packet } from "../../../stack/packet.ts";
import {
  sourceOf,
  sourcePortOf,
  type UdpHandler,
  type UdpSocket as StackSocket,
} from "../../../stack/udp/socket.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Attempt, done, type Host, OpenFile, result, SysError } from "./file.ts";
import { SocketOptions } from "./socket_options.ts";
import { errnoOf } from "./tcp_socket.ts";

/** Datagrams that wait at most. */
const QUEUE = 256;

/** One UDP socket. */
export class UdpSocket extends OpenFile implements UdpHandler {
  readonly protocol = "udp";
  readonly host: Host;
  readonly version: 4 | 6;
  readonly options = new SocketOptions();
  #socket: StackSocket | null = null;
  #peer: { address: IpAddress; port: number } | null = null;
  #bound: IpAddress | null = null;
  #queue: number[] = [];
  #error: string | null = null;

  constructor(host: Host, version: 4 | 6) {
    super();
    this.host = host;
    this.version = version;
  }

  receive(packet: Packet): void {
    this.events++;
    const peer = this.#peer;
    if (peer !== null && !(sourceOf(packet).equals(peer.address) && sourcePortOf(packet) === peer.port)) {
      return;
    }
    if (this.#queue.length < QUEUE) this.#queue.push(packet.length);
  }

  error(kind: IcmpError): void {
    if (this.#peer === null) return;
    this.events++;
    this.#error = kind === IcmpError.PortUnreachable
      ? "ECONNREFUSED"
      : kind === IcmpError.PacketTooBig
      ? "EMSGSIZE"
      : kind === IcmpError.NetworkUnreachable
      ? "ENETUNREACH"
      : "EHOSTUNREACH";
  }

  /** Our port; 0 before there is one. */
  get localPort(): number {
    return this.#socket?.port ?? 0;
  }

  get remotePort(): number | null {
    return this.#peer?.port ?? null;
  }

  get localAddress(): IpAddress | null {
    return this.#bound;
  }

  get remoteAddress(): IpAddress | null {
    return this.#peer?.address ?? null;
  }

  get hasPeer(): boolean {
    return this.#peer !== null;
  }

  /** Gives up the peer (connect to AF_UNSPEC). */
  disconnect(): void {
    this.#peer = null;
  }

  bind(address: IpAddress | null, port: number): Attempt {
    if (this.#socket !== null) throw new SysError("EINVAL");
    this.#bound = address;
    try {
      this.#socket = this.host.stack.udp.bind(
        { ...address === null || address.isUnspecified ? {} : { address }, port },
        this,
      );
    } catch (error) {
      throw new SysError(errnoOf(error));
    }
    return done(0);
  }

  connect(address: IpAddress, port: number): Attempt {
    if (this.#socket === null) this.bind(null, 0);
    this.#peer = { address, port };
    return done(0);
  }

  send(length: number, address: IpAddress | null, port: number | null): Attempt {
    if (this.#socket === null) this.bind(null, 0);
    this.#fail();
    const to = address === null ? this.#peer : { address, port: port! };
    if (to === null) throw new SysError("EDESTADDRREQ");
    try {
      this.#socket!.send(new Uint8Array(length), 0, length, to.address, to.port);
    } catch (error) {
      throw new SysError(errnoOf(error));
    }
    return done(length);
  }

  read(length: number, flags: number): Attempt {
    const wait = !this.nonblocking && (flags & K.MSG_DONTWAIT!) === 0;
    const deadline = this.options.receiveTimeout === 0
      ? Infinity
      : this.host.stack.now + this.options.receiveTimeout;
    return {
      deadline,
      run: () => {
        this.#fail();
        const first = this.#queue[0];
        if (first !== undefined) {
          if ((flags & K.MSG_PEEK!) === 0) this.#queue.shift();
          return result(flags & K.MSG_TRUNC! ? first : Math.min(first, length));
        }
        if (!wait || this.host.stack.now >= deadline) throw new SysError("EAGAIN");
        return null;
      },
    };
  }

  /** Bytes of the first datagram. */
  get waiting(): number {
    return this.#queue[0] ?? 0;
  }

  /** Takes the pending error, as SO_ERROR does. */
  takeError(): string | null {
    const error = this.#error;
    this.#error = null;
    return error;
  }

  #fail(): void {
    const error = this.takeError();
    if (error !== null) throw new SysError(error);
  }

  ready(): number {
    let mask = K.EPOLLOUT! | K.EPOLLWRNORM!;
    if (this.#queue.length > 0) mask |= K.EPOLLIN! | K.EPOLLRDNORM!;
    if (this.#error !== null) mask |= K.EPOLLERR!;
    return mask;
  }

  close(): null {
    this.#socket?.close();
    return null;
  }
}
