/**
 * Opening a packet socket with a ring of received frames in shared memory (packet(7), Documentation/networking/packet_mmap).
 * Received frames lie in slots of one size, TPACKET_V2: the next version gathers them in blocks, which are handed over late.
 *
 * @module
 */

import { allocateArena } from "../../stack/arena.ts";
import { Region } from "../../stack/packet.ts";
import { EACCES, EPERM, errnoText } from "./errno.ts";
import {
  IFNAMSIZ,
  InterfaceProbe,
  interfaceType,
  type KernelInterface,
  openLinkSocket,
} from "./interface.ts";
import { errno, type Libc, libc, SOCK_RAW_NONBLOCK } from "./libc.ts";
import { addressOf } from "./memory.ts";
import { inNamespace } from "./namespace.ts";
import {
  map,
  MAP_ANONYMOUS,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  mapOver,
  PROT_READ,
  PROT_WRITE,
} from "./system.ts";

const AF_PACKET = 17, ETH_P_ALL = 3, ARPHRD_ETHER = 1;
const SOL_SOCKET = 1,
  SO_ERROR = 4,
  SO_ATTACH_FILTER = 26,
  SO_DETACH_FILTER = 27,
  SO_SNDBUFFORCE = 32,
  SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const ADD_MEMBERSHIP = 1, DROP_MEMBERSHIP = 2, RX_RING = 5, STATISTICS = 6, COPY_THRESH = 7;
const VERSION = 10, RESERVE = 12, VNET_HDR = 15, QDISC_BYPASS = 20, IGNORE_OUTGOING = 23;
const TPACKET_V2 = 1;
const MR_PROMISC = 1, MR_ALLMULTI = 2, MR_UNICAST = 3;
/** Bytes of `struct sockaddr_ll` and `struct packet_mreq`. */
const SOCKADDR_LL = 20, MREQ = 16;

/** Bytes at the start of a slot that are the kernel's: `struct tpacket2_hdr` and the address behind it. */
export const SLOT_HEADER = 80;
/** Words and bytes of `struct tpacket2_hdr`. */
export const STATUS = 0, LENGTH = 4, CAPTURED = 8, FRAME = 12, VLAN_TAG = 24, VLAN_TYPE = 26;
/** `tp_status`: the slot is ours; otherwise the kernel's. */
export const OURS = 1;
/** `tp_status`: the whole frame, longer than the slot, waits in the socket's queue. */
export const COPIED = 2;
/** `tp_status`: frames were lost since {@link Troubles.takeLosses} was asked. */
export const LOSING = 4;
/** `tp_status`: the kernel has taken a VLAN tag out of the frame. */
export const TAGGED = 0x10;

/**
 * Bytes that the kernel leaves free behind {@link SLOT_HEADER}, so that there is room for headers of an answer, and the IP header
 * behind those of virtio (10 bytes) and Ethernet lies at a multiple of 16.
 */
const HEADROOM = 246;
/** Bytes of all that is in front of the IP packet. */
const FRONT = SLOT_HEADER + HEADROOM + 10;
/** Bytes of a tag and what else may be longer than the MTU. */
const BEHIND = 4;
/** Bytes that slots are laid out in: contiguous for the kernel. */
const BLOCK = 1 << 18;
/** Bytes that may wait in either direction beside the ring. */
const QUEUED = 16 << 20;

/** An open packet socket. */
export interface PacketSocket extends KernelInterface {
  /** The non-blocking descriptor. */
  readonly fd: number;
  /** The interface's number. */
  readonly index: number;
}

/** The slots of a socket, in this process's memory. */
export interface PacketRing {
  /** All of them. */
  readonly region: Region;
  /** Where each begins. */
  readonly slots: readonly number[];
  /** Bytes of each. */
  readonly slotSize: number;
}

function setNumber(calls: Libc, fd: number, level: number, name: number, value: number): boolean {
  return calls.setsockopt(fd, level, name, new Uint8Array(Int32Array.of(value).buffer), 4) === 0;
}

/**
 * Opens a socket on an interface. It receives nothing before {@link openRing} and {@link bindSocket}.
 * @param namespace As `ip netns` has it; undefined for the current one.
 * @throws {TypeError | Deno.errors.NotFound | Deno.errors.PermissionDenied | Deno.errors.NotSupported | Error} If it can't be.
 */
export function openPacketSocket(name: string, namespace: string | undefined): PacketSocket {
  const bytes = new TextEncoder().encode(name).length;
  if (bytes === 0 || bytes >= IFNAMSIZ) {
    throw new TypeError(
      `Interface name "${name}" has ${bytes} bytes; give the name of an interface, at most ${
        IFNAMSIZ - 1
      } bytes`,
    );
  }
  return namespace === undefined ? openHere(name) : inNamespace(namespace, () => openHere(name));
}

function openHere(name: string): PacketSocket {
  const calls = libc();
  const fd = calls.socket(AF_PACKET, SOCK_RAW_NONBLOCK, 0);
  if (fd < 0) {
    const number = errno();
    const what = `Cannot open a packet socket on "${name}": ${errnoText(number)}`;
    if (number === EPERM || number === EACCES) {
      throw new Deno.errors.PermissionDenied(`${what}; run as root, or with CAP_NET_RAW`);
    }
    throw new Error(what);
  }
  const socket = openLinkSocket();
  const index = socket < 0 ? 0 : new InterfaceProbe({ name, socket }).index();
  try {
    if (index === 0) {
      throw new Deno.errors.NotFound(`There is no interface "${name}"; "ip link" lists what there is`);
    }
    const type = interfaceType({ name, socket });
    if (type !== ARPHRD_ETHER) {
      throw new Deno.errors.NotSupported(
        `Interface "${name}" is of type ${type}, not Ethernet; take another one`,
      );
    }
    const set = (option: number, value: number) => setNumber(calls, fd, SOL_PACKET, option, value);
    if (
      !set(VERSION, TPACKET_V2) || !set(VNET_HDR, 1) || !set(RESERVE, HEADROOM) || !set(COPY_THRESH, 1) ||
      !set(IGNORE_OUTGOING, 1)
    ) {
      throw new Deno.errors.NotSupported(
        `Cannot set up a packet socket on "${name}": ${errnoText(errno())}; it takes Linux 6.2 or newer`,
      );
    }
  } catch (error) {
    calls.close(fd);
    if (socket >= 0) calls.close(socket);
    throw error;
  }
  // Without CAP_NET_ADMIN the limits of the system hold.
  setNumber(calls, fd, SOL_SOCKET, SO_RCVBUFFORCE, QUEUED);
  setNumber(calls, fd, SOL_SOCKET, SO_SNDBUFFORCE, QUEUED);
  return { fd, name, socket, index };
}

/** Has frames go to the driver without a queueing discipline in between. @returns False if the kernel can't. */
export function bypassQueueing({ fd }: PacketSocket): boolean {
  return setNumber(libc(), fd, SOL_PACKET, QDISC_BYPASS, 1);
}

/**
 * Makes the ring. Its memory is that of `allocateArena`, which outlives the socket.
 * @param count Least number of slots. @param mtu Bytes of the longest IP packet that is to fit in a slot.
 * @throws {Error} If there is no memory.
 */
export function openRing(socket: PacketSocket, count: number, mtu: number): PacketRing {
  const slotSize = (FRONT + mtu + BEHIND + 63) & ~63;
  const perBlock = Math.floor(BLOCK / slotSize);
  const blocks = Math.ceil(count / perBlock);
  const request = new Uint8Array(Uint32Array.of(BLOCK, blocks, slotSize, perBlock * blocks).buffer);
  if (libc().setsockopt(socket.fd, SOL_PACKET, RX_RING, request, request.length) < 0) {
    throw new Error(
      `Cannot make a ring of ${count} frames for "${socket.name}": ${errnoText(errno())}; ask for fewer`,
    );
  }
  const length = BLOCK * blocks;
  let region = allocateArena(length);
  if (region.vectorSum === null) {
    // Plain memory need not begin with a page. This is never unmapped: somebody may hold a packet in it.
    region = new Region(map(length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1).buffer);
  }
  if (!mapOver(addressOf(region), length, MAP_SHARED | MAP_POPULATE, socket.fd)) {
    throw new Error(`Cannot map the ring of "${socket.name}"; ask for fewer frames`);
  }
  const slots: number[] = [];
  for (let block = 0; block < blocks; block++) {
    for (let slot = 0; slot < perBlock; slot++) slots.push(block * BLOCK + slot * slotSize);
  }
  return { region, slots, slotSize };
}

/** Parts a ring from its socket, so that the kernel has its memory back; what is left reads as zeros. */
export function leaveRing({ region }: PacketRing): void {
  mapOver(addressOf(region), region.bytes.length, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

/** Has the socket receive every frame of its interface from now on, and send there. @throws {Error} If the interface is gone. */
export function bindSocket({ fd, name, index }: PacketSocket): void {
  const address = new DataView(new ArrayBuffer(SOCKADDR_LL));
  address.setUint16(0, AF_PACKET, true);
  address.setUint16(2, ETH_P_ALL);
  address.setInt32(4, index, true);
  if (libc().bind(fd, new Uint8Array(address.buffer), SOCKADDR_LL) < 0) {
    throw new Error(`Cannot bind a packet socket to "${name}": ${errnoText(errno())}`);
  }
}

function member(socket: PacketSocket, option: number, type: number, mac?: Uint8Array): boolean {
  const request = new DataView(new ArrayBuffer(MREQ));
  request.setInt32(0, socket.index, true);
  request.setUint16(4, type, true);
  if (mac !== undefined) {
    request.setUint16(6, mac.length, true);
    new Uint8Array(request.buffer).set(mac, 8);
  }
  return libc().setsockopt(socket.fd, SOL_PACKET, option, new Uint8Array(request.buffer), MREQ) === 0;
}

/** Which frames the interface is to take: all, or those to `mac`, to groups and to everybody. */
export function setMembership(socket: PacketSocket, mac: Uint8Array, all: boolean): void {
  const add = all ? ADD_MEMBERSHIP : DROP_MEMBERSHIP, drop = all ? DROP_MEMBERSHIP : ADD_MEMBERSHIP;
  // What is wanted comes first, so that nothing is missed; dropping what was never there does nothing.
  for (const option of [ADD_MEMBERSHIP, DROP_MEMBERSHIP]) {
    if (option === add) member(socket, option, MR_PROMISC);
    if (option === drop) {
      member(socket, option, MR_UNICAST, mac);
      member(socket, option, MR_ALLMULTI);
    }
  }
}

/** Instructions of classic BPF (Documentation/networking/filter): load 16 and 32 bits and one byte, compare, test bits, end. */
const LDH = 0x28, LDW = 0x20, LDB = 0x30, JEQ = 0x15, JSET = 0x45, RET = 0x06;
/** More groups than this are all taken. */
const MOST_GROUPS = 64;
/** Bytes of a frame that pass: more than there are. */
const WHOLE = 1 << 18;

/**
 * Has the kernel drop frames that are neither to `mac` nor to everybody nor to one of the groups, before they take a slot.
 * @param groups Pairs of the first 16 and the last 32 bits of an address; null for no filter.
 */
export function setFilter(socket: PacketSocket, mac: Uint8Array, groups: readonly number[] | null): void {
  const calls = libc();
  if (groups === null) {
    setNumber(calls, socket.fd, SOL_SOCKET, SO_DETACH_FILTER, 0);
    return;
  }
  const program: [code: number, then: number, otherwise: number, value: number][] = [];
  const own = new DataView(mac.buffer, mac.byteOffset, mac.byteLength);
  const pairs = [own.getUint16(0), own.getUint32(2), 0xffff, 0xffff_ffff];
  if (groups.length <= 2 * MOST_GROUPS) pairs.push(...groups);
  else program.push([LDB, 0, 0, 0], [JSET, 0, 1, 1], [RET, 0, 0, WHOLE]);
  for (let i = 0; i < pairs.length; i += 2) {
    program.push([LDH, 0, 0, 0], [JEQ, 0, 3, pairs[i]!], [LDW, 0, 0, 2], [JEQ, 0, 1, pairs[i + 1]!]);
    program.push([RET, 0, 0, WHOLE]);
  }
  program.push([RET, 0, 0, 0]);
  const code = new DataView(new ArrayBuffer(8 * program.length));
  program.forEach(([operation, then, otherwise, value], i) => {
    code.setUint16(8 * i, operation, true);
    code.setUint8(8 * i + 2, then);
    code.setUint8(8 * i + 3, otherwise);
    code.setUint32(8 * i + 4, value >>> 0, true);
  });
  const bytes = new Uint8Array(code.buffer);
  const filter = new DataView(new ArrayBuffer(16));
  filter.setUint16(0, program.length, true);
  filter.setBigUint64(8, Deno.UnsafePointer.value(Deno.UnsafePointer.of(bytes)), true);
  calls.setsockopt(socket.fd, SOL_SOCKET, SO_ATTACH_FILTER, new Uint8Array(filter.buffer), 16);
}

/** Asks what went wrong, again and again, without allocating. */
export class Troubles {
  readonly #fd: number;
  readonly #counts = new Uint32Array(new ArrayBuffer(8));
  readonly #bytes = new Uint8Array(this.#counts.buffer);
  readonly #size = new Uint8Array(new ArrayBuffer(4));

  /** Prepares the question. */
  constructor({ fd }: PacketSocket) {
    this.#fd = fd;
  }

  /** Takes the error that the socket holds since its interface went down: whatever it is asked to do fails by it, once. */
  takeError(): boolean {
    this.#size[0] = 4;
    this.#counts[0] = 0;
    libc().getsockopt(this.#fd, SOL_SOCKET, SO_ERROR, this.#bytes, this.#size);
    return this.#counts[0] !== 0;
  }

  /** Frames that found no free slot since the last time. */
  takeLosses(): number {
    this.#size[0] = this.#bytes.length;
    return libc().getsockopt(this.#fd, SOL_PACKET, STATISTICS, this.#bytes, this.#size) < 0
      ? 0
      : this.#counts[1]!;
  }
}
