/**
 * A QEMU stream socket (`-netdev stream`) as a device: no privilege and no foreign functions needed. Each frame is
 * preceded by its length, 32 bits in network order; there is no handshake.
 *
 * @module
 */

import { allocateArena } from "../stack/arena.ts";
import type { Device } from "../stack/device.ts";
import { type Bytes, type Handler, Packet, Region } from "../stack/packet.ts";
import { ETHERNET_HEADER, MAX_SUPER_FRAME, RECEIVE_OFFSET } from "./frame.ts";
import { randomLinkAddress } from "./link_address.ts";
import { checkRange, SlotDevice } from "./slot_device.ts";
import { slotSizeFor } from "./slot_pool.ts";

/** Options of a {@link QemuDevice}. */
export interface QemuDeviceOptions {
  /** What a person calls it; `qemu:PATH` by default. */
  name?: string;
  /** Our link address; random by default. */
  mac?: Uint8Array;
  /** Largest IP packet, in bytes, 68 to 65535; 1500 by default. The other side is not asked. */
  mtu?: number;
  /** Slots that can be reserved at a time, 1 to 65536; 256 by default. */
  slots?: number;
  /** Bytes that wait in each direction, 131072 at least; 1 MiB by default. */
  buffer?: number;
}

/** Options of {@link QemuDevice.listen}. */
export interface QemuListenOptions extends QemuDeviceOptions {
  /** Ends the wait. */
  signal?: AbortSignal;
}

/** Bytes of the length in front of a frame. */
const LENGTH = 4;
/** The longest frame that QEMU sends (`NET_BUFSIZE`); a greater length means that we have lost the thread. */
const LONGEST = 4096 + 65536;

/**
 * What comes is read in the background into a bounded buffer; while that is full nothing more is read, and QEMU has
 * to wait. What is sent waits in another one for the socket; a frame which finds no room in it is refused.
 */
export class QemuDevice extends SlotDevice implements Device {
  readonly #conn: Deno.UnixConn;
  readonly #received: Packet;
  readonly #input: InputRing;
  /** What is being written, and what is gathered meanwhile. */
  #writing: Region;
  #gathered: Region;
  #gatheredLength = 0;
  #writeActive = false;
  #readActive = false;
  /** Set once the socket has ended; takes effect when what came before was delivered. */
  #ended: Error | null = null;

  /**
   * Takes over an open connection.
   * @param conn Closed with the device. @param options How it presents itself. @throws {RangeError} A value out of range.
   */
  constructor(conn: Deno.UnixConn, options: QemuDeviceOptions = {}) {
    const { mtu = 1500, slots, buffer = 1 << 20 } = options;
    checkRange("mtu", mtu, 68, 65535);
    if (!Number.isInteger(buffer) || buffer < 2 * 65536) {
      throw new RangeError(`Option buffer is "${buffer}"; give a whole number of bytes, 131072 at least`);
    }
    const name = options.name ?? `qemu:${pathOf(conn)}`;
    super({ name, mac: options.mac?.slice() ?? randomLinkAddress(), mtu, offloads: 0, slots });
    this.#conn = conn;
    const size = slotSizeFor(MAX_SUPER_FRAME);
    // In front of the slot lies the length, so that a frame and its length are read as one.
    this.#received = new Packet(this, allocateArena(size), 0, 0, size);
    this.#input = new InputRing(buffer);
    this.#gathered = new Region(new ArrayBuffer(buffer));
    this.#writing = new Region(new ArrayBuffer(buffer));
    conn.unref();
    this.#read();
  }

  /**
   * Connects to a QEMU that listens: `-netdev stream,id=n0,server=on,addr.type=unix,addr.path=PATH`.
   * @throws {Deno.errors.NotFound | Deno.errors.ConnectionRefused | Deno.errors.PermissionDenied} If nobody listens.
   */
  static async connect(path: string, options: QemuDeviceOptions = {}): Promise<QemuDevice> {
    let conn: Deno.UnixConn;
    try {
      conn = await Deno.connect({ transport: "unix", path });
    } catch (error) {
      const start =
        `start QEMU first, with "-netdev stream,id=n0,server=on,addr.type=unix,addr.path=${path}"`;
      throw explained(error, `Cannot connect to QEMU at "${path}"`, start);
    }
    return new QemuDevice(conn, { name: `qemu:${path}`, ...options });
  }

  /**
   * Waits for a QEMU to connect: `-netdev stream,id=n0,server=off,addr.type=unix,addr.path=PATH`. Takes the first.
   * @throws {Deno.errors.AddrInUse} If the path exists. @throws {DOMException} When the signal ends the wait.
   */
  static async listen(path: string, options: QemuListenOptions = {}): Promise<QemuDevice> {
    let listener: Deno.UnixListener;
    try {
      listener = Deno.listen({ transport: "unix", path });
    } catch (error) {
      throw explained(error, `Cannot listen at "${path}"`, "remove the file if no program uses it");
    }
    const { signal } = options;
    const abort = (): void => listener.close();
    try {
      signal?.throwIfAborted();
      signal?.addEventListener("abort", abort);
      const conn = await listener.accept();
      return new QemuDevice(conn, { name: `qemu:${path}`, ...options });
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", abort);
      if (!signal?.aborted) listener.close();
      removeSocket(path);
    }
  }

  override get linkUp(): boolean {
    return !this.closed;
  }

  override poll(receiver: Handler, budget: number, _now: number): number {
    let delivered = 0;
    const input = this.#input;
    while (delivered < budget && !this.closed) {
      const length = input.frameLength();
      if (length < 0) break;
      if (length > LONGEST) {
        this.fail(
          new Error(`QEMU announced a frame of "${length}" bytes at "${this.name}"; it was cut off`),
        );
        break;
      }
      if (length < ETHERNET_HEADER || length > MAX_SUPER_FRAME) {
        this.counters.receiveErrors++;
        input.skip(LENGTH + length);
        continue;
      }
      const packet = this.#received;
      input.take(packet.bytes, RECEIVE_OFFSET - LENGTH, LENGTH + length);
      packet.reset(RECEIVE_OFFSET, RECEIVE_OFFSET + length);
      delivered++;
      this.lend(packet, receiver);
    }
    if (!this.closed) {
      if (!this.#readActive) this.#read();
      if (this.#ended !== null && input.frameLength() < 0) this.fail(this.#ended);
    }
    return delivered;
  }

  override flush(): void {
    if (this.#gatheredLength > 0 && !this.#writeActive && !this.closed) this.#write();
  }

  override arm(wake: () => void): boolean {
    if (this.closed) return true;
    if (this.#input.frameLength() >= 0 || this.#ended !== null) return false;
    this.wake = wake;
    this.#conn.ref();
    return true;
  }

  override disarm(): void {
    if (this.wake === null || this.closed) return;
    this.wake = null;
    this.#conn.unref();
  }

  /** Closes the socket. */
  protected override shut(): void {
    this.#conn.close();
  }

  /** Puts the frame to those that wait for the socket. */
  protected override sendFrame(packet: Packet): boolean {
    const { length } = packet;
    const { bytes, view } = this.#gathered;
    const at = this.#gatheredLength;
    if (at + LENGTH + length > bytes.length) return false;
    view.setUint32(at, length);
    packet.copyTo(bytes, at + LENGTH);
    this.#gatheredLength = at + LENGTH + length;
    return true;
  }

  /** Writes what was gathered, and what is gathered meanwhile. */
  async #write(): Promise<void> {
    this.#writeActive = true;
    try {
      while (this.#gatheredLength > 0 && !this.closed) {
        const ready = this.#gathered, length = this.#gatheredLength;
        this.#gathered = this.#writing;
        this.#writing = ready;
        this.#gatheredLength = 0;
        for (let at = 0; at < length;) at += await this.#conn.write(ready.bytes.subarray(at, length));
      }
    } catch (error) {
      this.#end(error);
    } finally {
      this.#writeActive = false;
    }
  }

  /** Reads until the buffer is full or the socket ends. {@link poll} starts it again. */
  async #read(): Promise<void> {
    this.#readActive = true;
    const input = this.#input;
    try {
      while (!this.closed && this.#ended === null) {
        const free = input.free();
        if (free === null) break;
        const count = await this.#conn.read(free);
        if (count === null) return this.#end(null);
        input.fill(count);
        if (input.frameLength() >= 0) this.rouse();
      }
    } catch (error) {
      this.#end(error);
    } finally {
      this.#readActive = false;
    }
  }

  #end(error: unknown): void {
    if (this.closed || this.#ended !== null) return;
    const why = error === null
      ? "the other side closed it"
      : error instanceof Error
      ? error.message
      : String(error);
    this.#ended = new Error(`Connection of "${this.name}" ended: ${why}; start QEMU and connect again`);
    const wake = this.wake;
    if (this.#input.frameLength() < 0) this.fail(this.#ended);
    wake?.();
  }
}

/** Bytes that came, in a ring: read by the socket in whole stretches, taken out frame by frame. */
class InputRing {
  readonly #bytes: Bytes;
  #head = 0;
  #length = 0;

  constructor(size: number) {
    this.#bytes = new Uint8Array(new ArrayBuffer(size));
  }

  /** The next stretch without bytes, or null when there is none. */
  free(): Bytes | null {
    const size = this.#bytes.length;
    if (this.#length === size) return null;
    const tail = this.#head + this.#length;
    return tail < size ? this.#bytes.subarray(tail) : this.#bytes.subarray(tail - size, this.#head);
  }

  /** Notes that `count` bytes were put into {@link free}. */
  fill(count: number): void {
    this.#length += count;
  }

  /** Bytes of the frame at the head, or -1 while it is not complete. A frame longer than {@link LONGEST} counts at once. */
  frameLength(): number {
    if (this.#length < LENGTH) return -1;
    const bytes = this.#bytes, size = bytes.length;
    let length = 0;
    for (let index = 0; index < LENGTH; index++) {
      const at = this.#head + index;
      length = length * 256 + bytes[at < size ? at : at - size]!;
    }
    return length > LONGEST || this.#length >= LENGTH + length ? length : -1;
  }

  /** Moves `count` bytes to `target` at `at`. */
  take(target: Bytes, at: number, count: number): void {
    const bytes = this.#bytes, head = this.#head;
    const first = Math.min(count, bytes.length - head);
    target.set(bytes.subarray(head, head + first), at);
    if (first < count) target.set(bytes.subarray(0, count - first), at + first);
    this.skip(count);
  }

  /** Forgets `count` bytes. */
  skip(count: number): void {
    this.#length -= count;
    this.#head = (this.#head + count) % this.#bytes.length;
  }
}

function pathOf(conn: Deno.UnixConn): string {
  const { remoteAddr, localAddr } = conn;
  return (remoteAddr as Deno.UnixAddr).path ?? (localAddr as Deno.UnixAddr).path ?? "";
}

function explained(error: unknown, what: string, advice: string): Error {
  if (!(error instanceof Error)) return new Error(`${what}: ${String(error)}; ${advice}`);
  const message = `${what}: ${error.message}; ${advice}`;
  return new (error.constructor as new (message: string) => Error)(message);
}

function removeSocket(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // Deno or somebody else has removed it already.
  }
}
