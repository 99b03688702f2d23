/**
 * Any Ethernet interface of the kernel (a veth, a port of a bridge, a network card) as a device, through a packet socket.
 *
 * @module
 */

import { allocateArena } from "../stack/arena.ts";
import { type Device, OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6, OFFLOAD_USO } from "../stack/device.ts";
import { CHECKSUM_PARTIAL, GSO_NONE, type Handler, HEADROOM, Packet } from "../stack/packet.ts";
import { EAGAIN } from "./ffi/errno.ts";
import { IFF_RUNNING, IFF_UP, interfaceMac, interfaceMtu, InterfaceProbe } from "./ffi/interface.ts";
import { errno, type Libc, libc } from "./ffi/libc.ts";
import { MessageVectors, pointerTo } from "./ffi/memory.ts";
import {
  bindSocket,
  bypassQueueing,
  CAPTURED,
  COPIED,
  FRAME,
  leaveRing,
  LENGTH,
  LOSING,
  openPacketSocket,
  openRing,
  OURS,
  type PacketRing,
  type PacketSocket,
  setFilter,
  setMembership,
  SLOT_HEADER,
  STATUS,
  TAGGED,
  Troubles,
  VLAN_TAG,
  VLAN_TYPE,
} from "./ffi/packet_socket.ts";
import { openReadinessWaiter } from "./ffi/readiness.ts";
import { openWaiter, type Waiter, type WaitMethod } from "./ffi/waiter.ts";
import { ETHERNET_HEADER, MAX_SUPER_FRAME } from "./frame.ts";
import { formatLinkAddress, randomLinkAddress } from "./link_address.ts";
import { checkRange, SlotDevice } from "./slot_device.ts";
import { slotSizeFor } from "./slot_pool.ts";
import { readNetHeader, VNET_HEADER, writeNetHeader } from "./virtio/header.ts";

/** Options of {@link PacketSocketDevice.open}. */
export interface PacketSocketOptions {
  /** The interface, which must exist. */
  name: string;
  /** The network namespace the interface is in, by its `ip netns` name; the current one by default. */
  namespace?: string;
  /**
   * Our link address; random by default, so that the kernel's own stack leaves frames to us alone. With that of the interface
   * itself, for links that take no other, the kernel must have no addresses on it.
   */
  mac?: Uint8Array;
  /** `all`, the default: the kernel sums and cuts what the interface can't. `none`: we do. What comes in may be super-frames either way. */
  offloads?: "all" | "none";
  /** Frames that can wait to be received, 16 to 65536; 2048 by default. Rounded up. */
  ring?: number;
  /** Slots that can be reserved at a time, 1 to 65536; 256 by default. */
  slots?: number;
  /** Sends past the interface's queueing discipline (PACKET_QDISC_BYPASS), what the driver has no room for being lost; false by default. */
  bypass?: boolean;
  /** How to wait for frames; see `ffi/waiter.ts`. */
  wait?: WaitMethod;
}

/** Frames that are sent with one call. */
const BATCH = 64;
/** Bytes for messages about interfaces; their content does not matter, only that they are read. */
const LINK_MESSAGES = 65536;

/**
 * What comes in lies in a ring that the kernel shares, and costs no system call; only what is longer than the interface's MTU
 * (segments that were joined, or never cut) is read with one. What goes out is sent once a turn, with one call.
 */
export class PacketSocketDevice extends SlotDevice implements Device {
  readonly #calls: Libc;
  readonly #socket: PacketSocket;
  readonly #ring: PacketRing;
  readonly #words: Int32Array<ArrayBuffer>;
  /** One packet a slot, and for each whether it is being sent. */
  readonly #frames: Packet[];
  readonly #answered: Uint8Array;
  #next = 0;
  /** What does not fit in a slot. */
  readonly #long: Packet;
  readonly #longStart: number;
  readonly #longPointer: Deno.PointerObject;
  readonly #longLength: number;
  /** Frames to be sent, in a circle. */
  readonly #queue: (Packet | null)[] = new Array(BATCH).fill(null);
  readonly #messages = new MessageVectors(BATCH);
  #first = 0;
  #count = 0;
  readonly #troubles: Troubles;
  readonly #probe: InterfaceProbe;
  readonly #waiter: Waiter;
  /** Tells that an interface has changed: up, down or deleted. */
  readonly #watcher: Waiter;
  #up: boolean;
  readonly #framesCame = (): void => {
    // Or it is an error, which would wake us again and again.
    if (!this.#waiting() && this.#troubles.takeError()) this.#look();
    this.rouse();
  };
  readonly #linkChanged = (): void => {
    this.#watcher.pending = 0;
    this.#look();
    this.rouse();
  };

  private constructor(socket: PacketSocket, options: PacketSocketOptions) {
    const { offloads = "all", ring = 2048, wait } = options;
    checkRange("ring", ring, 16, 65536);
    const mtu = interfaceMtu(socket);
    super({
      name: socket.name,
      mac: chooseMac(socket, options.mac),
      mtu,
      offloads: offloads === "all" ? OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 | OFFLOAD_USO : 0,
      slots: options.slots,
      defers: true,
    });
    this.#calls = libc();
    this.#socket = socket;
    if (options.bypass === true && !bypassQueueing(socket)) {
      throw new Deno.errors.NotSupported(`Cannot send past the queue of "${socket.name}" on this kernel`);
    }
    this.#ring = openRing(socket, ring, mtu);
    const { region, slots, slotSize } = this.#ring;
    this.#words = region.words;
    this.#frames = slots.map((at, slot) => new Packet(this, region, slot, at + SLOT_HEADER, at + slotSize));
    this.#answered = new Uint8Array(slots.length);
    const size = slotSizeFor(MAX_SUPER_FRAME);
    const long = allocateArena(size);
    this.#long = new Packet(this, long, slots.length, 0, size);
    this.#longStart = HEADROOM - ETHERNET_HEADER;
    this.#longPointer = pointerTo(long.bytes, this.#longStart - VNET_HEADER);
    this.#longLength = size - this.#longStart + VNET_HEADER;
    this.#troubles = new Troubles(socket);
    this.#probe = new InterfaceProbe(socket);
    setMembership(socket, this.mac, true);
    bindSocket(socket);
    this.#up = this.#running();
    this.#watcher = openWaiter(socket.socket, new Uint8Array(new ArrayBuffer(LINK_MESSAGES)), wait);
    this.#waiter = openReadinessWaiter(socket.fd, wait);
  }

  /**
   * Attaches to an interface of the kernel, which must exist and be set up. Its kernel must not use the addresses that we do.
   * @throws {TypeError | RangeError} If an option can't be used.
   * @throws {Deno.errors.NotFound | Deno.errors.PermissionDenied | Deno.errors.NotSupported | Error} If it can't be opened:
   *   the message says what to do.
   */
  static open(options: PacketSocketOptions): PacketSocketDevice {
    const socket = openPacketSocket(options.name, options.namespace);
    try {
      return new PacketSocketDevice(socket, options);
    } catch (error) {
      libc().close(socket.fd);
      libc().close(socket.socket);
      throw error;
    }
  }

  override get linkUp(): boolean {
    if (this.closed) return false;
    // Nobody is told when it comes up while we are awake; so whoever asks while it is down makes us look.
    if (!this.#up) this.#up = this.#running();
    return this.#up;
  }

  override poll(receiver: Handler, budget: number, _now: number): number {
    const words = this.#words, frames = this.#frames;
    let delivered = 0;
    while (delivered < budget && !this.closed) {
      const slot = this.#next;
      if (this.#answered[slot] !== 0) {
        // All the way round, and the answer is still to be sent.
        this.#send();
        if (this.closed || this.#answered[slot] !== 0) break;
      }
      const packet = frames[slot]!;
      const at = (packet.base - SLOT_HEADER) >> 2;
      const status = Atomics.load(words, at + STATUS);
      if ((status & OURS) === 0) break;
      this.#next = slot + 1 === frames.length ? 0 : slot + 1;
      if ((status & LOSING) !== 0) this.counters.receiveErrors += this.#troubles.takeLosses();
      try {
        if (this.#deliver(packet, status, receiver)) delivered++;
      } finally {
        if (this.#answered[slot] === 0) Atomics.store(words, at + STATUS, 0);
      }
    }
    return delivered;
  }

  override flush(): void {
    if (this.#count !== 0 && !this.closed) this.#send();
  }

  /** Which frames take a slot: the others are dropped by the kernel. */
  filterGroups(groups: readonly number[] | null): void {
    if (this.closed) return;
    setMembership(this.#socket, this.mac, groups === null);
    setFilter(this.#socket, this.mac, groups);
  }

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    if (this.#count !== 0) this.#send();
    if (this.closed) return true;
    // What the interface has no room for yet is tried again, awake.
    if (this.#count !== 0 || this.#waiting()) return false;
    this.wake = wake;
    this.#waiter.start(this.#framesCame);
    this.#watcher.start(this.#linkChanged);
    return true;
  }

  override disarm(): void {
    if (this.closed) return;
    this.wake = null;
    this.#waiter.stop();
    this.#watcher.stop();
  }

  /** Closes the descriptors, and gives the ring's memory back. */
  protected override shut(): void {
    leaveRing(this.#ring);
    this.#waiter.close();
    this.#watcher.close();
  }

  /** Puts the virtio_net_hdr in front of the frame, and both in the queue. */
  protected override sendFrame(packet: Packet): boolean {
    const start = packet.offset - VNET_HEADER;
    if (start < packet.base) return false;
    if (packet.gsoType !== GSO_NONE && (packet.flags & CHECKSUM_PARTIAL) === 0) return false;
    if (this.#count === BATCH) {
      this.#send();
      if (this.#count === BATCH || this.closed) return false;
    }
    writeNetHeader(packet, VNET_HEADER);
    const index = (this.#first + this.#count++) & (BATCH - 1);
    this.#queue[index] = packet;
    this.#describe(packet, index);
    if (packet.region === this.#ring.region) this.#answered[packet.slot] = 1;
    // There is only one of it: the next frame may overwrite it.
    else if (packet === this.#long) this.#send();
    return true;
  }

  #describe(packet: Packet, index: number): void {
    const messages = this.#messages;
    const start = packet.offset - VNET_HEADER;
    messages.begin(index);
    messages.add(packet.region, start, packet.end - start);
    if (packet.piece0Length !== 0) {
      messages.add(packet.piece0!, packet.piece0Offset, packet.piece0Length);
      if (packet.piece1Length !== 0) {
        messages.add(packet.piece1!, packet.piece1Offset, packet.piece1Length);
      }
    }
    messages.end(index);
  }

  /** Sends what is in the queue. What the socket has no room for stays there. */
  #send(): void {
    const { pointers } = this.#messages;
    while (this.#count !== 0) {
      const first = this.#first;
      const batch = first + this.#count > BATCH ? BATCH - first : this.#count;
      const sent = this.#calls.sendmmsg(this.#socket.fd, pointers[first]!, batch, 0);
      if (sent > 0) {
        for (let i = 0; i < sent; i++) this.#done(false);
      } else if (errno() === EAGAIN) {
        return this.#keep();
      } else if (!this.#troubles.takeError()) {
        this.#done(true);
        // Down or gone, most likely.
        this.#look();
        if (this.closed) return;
      }
    }
  }

  /** Ends the first frame of the queue. */
  #done(refused: boolean): void {
    const packet = this.#queue[this.#first]!;
    this.#queue[this.#first] = null;
    this.#first = (this.#first + 1) & (BATCH - 1);
    this.#count--;
    if (packet.region === this.#ring.region) {
      this.#answered[packet.slot] = 0;
      this.sent(packet, false, refused);
      // While it is lent it goes back when its receiver returns.
      if (packet.slot !== this.#lent) {
        Atomics.store(this.#words, ((packet.base - SLOT_HEADER) >> 2) + STATUS, 0);
      }
    } else {
      this.sent(packet, packet !== this.#long, refused);
    }
  }

  /** Slot of the packet that is lent, or -1. */
  #lent = -1;

  /** Copies what lies in others' memory, which is theirs again after the turn. */
  #keep(): void {
    for (let i = 0; i < this.#count; i++) {
      const index = (this.#first + i) & (BATCH - 1);
      const packet = this.#queue[index]!;
      if (packet.piece0Length === 0) continue;
      if (packet.gather()) this.#describe(packet, index);
    }
  }

  /** Hands on what is in a slot. @returns False if it was no frame. */
  #deliver(inSlot: Packet, status: number, receiver: Handler): boolean {
    const { view } = inSlot;
    const at = inSlot.base - SLOT_HEADER;
    const length = view.getUint32(at + LENGTH, true), captured = view.getUint32(at + CAPTURED, true);
    let packet = inSlot;
    if ((status & COPIED) !== 0) {
      const read = this.#calls.read(this.#socket.fd, this.#longPointer, this.#longLength);
      packet = this.#long;
      if (read !== length + VNET_HEADER || read > this.#longLength) return this.#spoilt();
      packet.reset(this.#longStart, this.#longStart + length);
    } else {
      const start = at + view.getUint16(at + FRAME, true);
      if (captured < length || start + length > packet.limit) return this.#spoilt();
      packet.reset(start, start + length);
    }
    if (length < ETHERNET_HEADER) return this.#spoilt();
    // Most frames have neither; one load tells.
    if (packet.view.getUint16(packet.offset - VNET_HEADER, true) !== 0) {
      if (!readNetHeader(packet, VNET_HEADER)) return this.#spoilt();
    }
    if ((status & TAGGED) !== 0) {
      putTag(packet, view.getUint16(at + VLAN_TYPE, true), view.getUint16(at + VLAN_TAG, true));
    }
    this.#lent = packet.slot;
    try {
      this.lend(packet, receiver);
    } finally {
      this.#lent = -1;
    }
    return true;
  }

  #spoilt(): boolean {
    this.counters.receiveErrors++;
    return false;
  }

  /** Whether a frame has come. */
  #waiting(): boolean {
    const at = (this.#frames[this.#next]!.base - SLOT_HEADER) >> 2;
    return (Atomics.load(this.#words, at + STATUS) & OURS) !== 0;
  }

  #running(): boolean {
    const wanted = IFF_UP | IFF_RUNNING;
    return (this.#probe.flags() & wanted) === wanted;
  }

  /** Looks whether the interface is still there, and up. */
  #look(): void {
    this.#up = this.#running();
    if (this.#probe.index() === this.#socket.index) return;
    this.fail(new Error(`Interface "${this.name}" was deleted; create it again and open it anew`));
  }
}

/** Puts the VLAN tag back that the kernel has taken out of a frame. */
function putTag(packet: Packet, type: number, tag: number): void {
  const start = packet.push(4);
  packet.bytes.copyWithin(start, start + 4, start + 16);
  packet.view.setUint16(start + 12, type === 0 ? 0x8100 : type);
  packet.view.setUint16(start + 14, tag);
  packet.link = packet.network = packet.transport = start;
}

function chooseMac(socket: PacketSocket, wanted: Uint8Array | undefined): Uint8Array {
  if (wanted === undefined) {
    const theirs = formatLinkAddress(interfaceMac(socket));
    let mac = randomLinkAddress();
    while (formatLinkAddress(mac) === theirs) mac = randomLinkAddress();
    return mac;
  }
  if (wanted.length !== 6 || (wanted[0]! & 1) !== 0) {
    throw new TypeError(
      `Link address "${formatLinkAddress(wanted)}" is not that of a host; give 6 bytes, the first one even`,
    );
  }
  return wanted.slice();
}
