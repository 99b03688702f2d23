/**
 * Asking the kernel about one of its interfaces (netdevice(7), rtnetlink(7)).
 *
 * @module
 */

import { errnoText } from "./errno.ts";
import { AF_NETLINK, errno, libc, SOCK_RAW_NONBLOCK } from "./libc.ts";

/** Bytes of an interface's name with its terminating zero. */
export const IFNAMSIZ = 16;
/** Bytes of `struct ifreq`. */
export const IFREQ = 40;
/** {@link InterfaceProbe.flags}: administratively up. */
export const IFF_UP = 1;
/** {@link InterfaceProbe.flags}: ready to pass frames. */
export const IFF_RUNNING = 0x40;

const SIOCGIFFLAGS = 0x8913, SIOCGIFMTU = 0x8921, SIOCGIFHWADDR = 0x8927, SIOCGIFINDEX = 0x8933;
const NETLINK_ROUTE = 0, RTMGRP_LINK = 1;
/** Bytes of `struct sockaddr_nl`. */
const SOCKADDR_NL = 12;

/** An interface, and a way to ask about it. */
export interface KernelInterface {
  /** The interface's name. */
  readonly name: string;
  /** A socket of {@link openLinkSocket} in the interface's network namespace. */
  readonly socket: number;
}

/**
 * Opens a non-blocking socket, in this thread's network namespace, to ask about interfaces. It becomes readable when one changes
 * or is deleted. @returns -1 if it can't be had.
 */
export function openLinkSocket(): number {
  const calls = libc();
  const socket = calls.socket(AF_NETLINK, SOCK_RAW_NONBLOCK, NETLINK_ROUTE);
  const address = new DataView(new ArrayBuffer(SOCKADDR_NL));
  address.setUint16(0, AF_NETLINK, true);
  address.setUint32(8, RTMGRP_LINK, true);
  if (socket < 0 || calls.bind(socket, new Uint8Array(address.buffer), SOCKADDR_NL) === 0) return socket;
  calls.close(socket);
  return -1;
}

/** The interface's MTU, in bytes. @throws {Error} If the interface is gone. */
export function interfaceMtu(of: KernelInterface): number {
  return ask(of, SIOCGIFMTU, "MTU").getInt32(IFNAMSIZ, true);
}

/** The link address of the kernel's side. @throws {Error} If the interface is gone. */
export function interfaceMac(of: KernelInterface): Uint8Array {
  return new Uint8Array(ask(of, SIOCGIFHWADDR, "link address").buffer.slice(IFNAMSIZ + 2, IFNAMSIZ + 8));
}

/** What its link is, as ARP numbers them (1: Ethernet). @throws {Error} If the interface is gone. */
export function interfaceType(of: KernelInterface): number {
  return ask(of, SIOCGIFHWADDR, "link type").getUint16(IFNAMSIZ, true);
}

/** Asks again and again how an interface is, without allocating. */
export class InterfaceProbe {
  /** `struct ifreq` with the name in it. */
  protected readonly request: Uint8Array<ArrayBuffer>;
  readonly #socket: number;
  readonly #view: DataView<ArrayBuffer>;

  /** Prepares the questions. */
  constructor(of: KernelInterface) {
    this.#socket = of.socket;
    this.request = requestFor(of);
    this.#view = new DataView(this.request.buffer);
  }

  /** `IFF_*` bits of the interface; 0 if it is gone. */
  flags(): number {
    return libc().ioctl(this.#socket, SIOCGIFFLAGS, this.request) < 0
      ? 0
      : this.#view.getUint16(IFNAMSIZ, true);
  }

  /** The interface's number, which one of the same name that comes later does not have; 0 if it is gone. */
  index(): number {
    return libc().ioctl(this.#socket, SIOCGIFINDEX, this.request) < 0
      ? 0
      : this.#view.getInt32(IFNAMSIZ, true);
  }
}

/** `struct ifreq` about an interface. */
export function requestFor({ name }: KernelInterface): Uint8Array<ArrayBuffer> {
  const request = new Uint8Array(new ArrayBuffer(IFREQ));
  request.set(new TextEncoder().encode(name));
  return request;
}

function ask(of: KernelInterface, code: number, what: string): DataView<ArrayBuffer> {
  const request = requestFor(of);
  if (libc().ioctl(of.socket, code, request) < 0) {
    throw new Error(`Cannot read the ${what} of "${of.name}": ${errnoText(errno())}`);
  }
  return new DataView(request.buffer);
}
