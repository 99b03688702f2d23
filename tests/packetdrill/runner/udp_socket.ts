/**
 * A UDP socket as Linux's applications know it.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import type { IcmpError } from "../../../stack/ip/path.ts";
import type { Packet } from "../../../stack/packet.ts";
import { hopLimitOf, type SendOptions, trafficClassOf } from "../../../stack/udp/datagram.ts";
import {
  sourceOf,
  sourcePortOf,
  type UdpHandler,
  type UdpSocket as StackSocket,
} from "../../../stack/udp/socket.ts";
import { CONSTANTS as K } from "./constants.ts";
import type { Control } from "./control.ts";
import { type Attempt, done, type Host, OpenFile, result, SysError } from "./file.ts";
import { START } from "./link.ts";
import { SocketOptions } from "./socket_options.ts";
import { errnoOf } from "./tcp_socket.ts";
import { errorOf, type UdpError } from "./udp_errors.ts";

/** Datagrams, and errors, that wait at most. */
const QUEUE = 256;
/** Bytes of the largest datagram, by version. */
const MOST = { 4: 65_507, 6: 65_527 } as const;
/** Bytes of a UDP header. */
const HEADER = 8;

/** What came, but for its bytes. */
export interface Datagram {
  length: number;
  source: IpAddress;
  port: number;
  hopLimit: number;
  trafficClass: number;
  /** When, in µs from the start of the script. */
  at: number;
}

/** How one datagram is sent; more than the stack's options, the bytes of each of several. */
export interface DatagramOptions extends SendOptions {
  segment?: number | undefined;
}

/** One UDP socket. */
export class UdpSocket extends OpenFile implements UdpHandler {
  readonly protocol = "udp";
  readonly host: Host;
  readonly version: 4 | 6;
  readonly options = new SocketOptions();
  #socket: StackSocket | null = null;
  #peer: { address: IpAddress; port: number } | null = null;
  #bound: IpAddress | null = null;
  readonly #queue: Datagram[] = [];
  readonly #errors: UdpError[] = [];
  #error: string | null = null;
  #readClosed = false;
  #writeClosed = false;
  /** Bytes that wait for the end of their datagram (MSG_MORE, UDP_CORK). */
  #corked = 0;
  /** What was read last. */
  last: Datagram | null = null;

  constructor(host: Host, version: 4 | 6) {
    super();
    this.host = host;
    this.version = version;
  }

  receive(packet: Packet): void {
    this.events++;
    const peer = this.#peer;
    const source = sourceOf(packet), port = sourcePortOf(packet);
    if (peer !== null && !(source.equals(peer.address) && port === peer.port)) return;
    if (this.#queue.length >= QUEUE) return;
    this.#queue.push({
      length: packet.length,
      source,
      port,
      hopLimit: hopLimitOf(packet),
      trafficClass: trafficClassOf(packet),
      at: this.host.stack.now - START,
    });
  }

  error(
    _kind: IcmpError,
    _remote: IpAddress,
    _port: number,
    mtu: number,
    _socket: StackSocket,
    packet: Packet,
  ): void {
    // Our own neighbour's silence is no packet.
    if (packet.outer < 0) return;
    const error = errorOf(packet, mtu);
    if (this.options.receiveErrors) {
      if (this.#errors.length < QUEUE) this.#errors.push(error);
    } else if (this.#peer === null || !error.hard) return;
    this.events++;
    this.#error = error.errno;
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

  /** Bytes of the largest packet to the peer; null while there is none. */
  get pathMtu(): number | null {
    const peer = this.#peer;
    if (peer === null) return null;
    return this.#socket!.mtu(peer.address, peer.port) + HEADER + (peer.address.version === 4 ? 20 : 40);
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
    if (this.host.stack.path(address) === null) throw new SysError("ENETUNREACH");
    this.#peer = { address, port };
    return done(0);
  }

  shutdown(how: number): Attempt {
    if (how < 0 || how > 2) throw new SysError("EINVAL");
    if (this.#peer === null) throw new SysError("ENOTCONN");
    if (how !== K.SHUT_WR) this.#readClosed = true;
    if (how !== K.SHUT_RD) this.#writeClosed = true;
    this.events++;
    return done(0);
  }

  /** Sends `length` bytes, or keeps them for a datagram that goes on (MSG_MORE). */
  send(
    length: number,
    flags: number,
    address: IpAddress | null,
    port: number | null,
    options: DatagramOptions = {},
  ): Attempt {
    if (this.#writeClosed) throw new SysError("EPIPE");
    if (address !== null && port === 0) throw new SysError("EINVAL");
    if (length + this.#corked > MOST[this.version]) throw new SysError("EMSGSIZE");
    if (this.#socket === null) this.bind(null, 0);
    this.#fail();
    const to = address === null ? this.#peer : { address, port: port! };
    if (to === null) throw new SysError("EDESTADDRREQ");
    this.#corked += length;
    if (flags & K.MSG_MORE! || this.options.corked) return done(length);
    const whole = this.#corked;
    this.#corked = 0;
    this.#transmit(whole, to, { ...this.options.datagram(this.version), ...options });
    return done(length);
  }

  #transmit(length: number, to: { address: IpAddress; port: number }, options: DatagramOptions): void {
    const socket = this.#socket!;
    const { segment = 0 } = options;
    const most = socket.mtu(to.address, to.port);
    if ((segment > 0 && segment > most) || (segment === 0 && this.options.neverFragments && length > most)) {
      throw new SysError(segment > 0 ? "EINVAL" : "EMSGSIZE");
    }
    const bytes = new Uint8Array(length);
    try {
      if (segment > 0) socket.sendSegments(bytes, 0, length, segment, to.address, to.port, options);
      else socket.send(bytes, 0, length, to.address, to.port, options);
    } catch (error) {
      throw new SysError(errnoOf(error));
    }
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
          this.last = first;
          return result(flags & K.MSG_TRUNC! ? first.length : Math.min(first.length, length));
        }
        if (this.#readClosed) return result(0);
        if (!wait || this.host.stack.now >= deadline) throw new SysError("EAGAIN");
        return null;
      },
    };
  }

  /** The next error of those that IP_RECVERR keeps; null when there is none. */
  takeQueuedError(): { control: Control[]; flags: number } | null {
    const error = this.#errors.shift();
    if (error === undefined) return null;
    // What comes next is what the socket tells of now.
    this.#error = this.#errors[0]?.errno ?? null;
    return { control: [error.control], flags: K.MSG_ERRQUEUE! };
  }

  /** Bytes of the first datagram. */
  get waiting(): number {
    return this.#queue[0]?.length ?? 0;
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
    if (this.#queue.length > 0 || this.#readClosed) mask |= K.EPOLLIN! | K.EPOLLRDNORM!;
    if (this.#readClosed) mask |= K.EPOLLRDHUP!;
    if (this.#readClosed && this.#writeClosed) mask |= K.EPOLLHUP!;
    if (this.#error !== null || this.#errors.length > 0) mask |= K.EPOLLERR!;
    return mask;
  }

  close(): null {
    this.#socket?.close();
    return null;
  }
}
