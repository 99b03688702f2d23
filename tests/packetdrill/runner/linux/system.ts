/**
 * The machine's own kernel under a script, in real time: what it does is what scripts have to say.
 *
 * @module
 */

import { libc } from "../../../../drivers/ffi/libc.ts";
import { Cidr, IpAddress } from "../../../../stack/ip/address.ts";
import type { CallSpec } from "../ast.ts";
import { type Captured, decode } from "../codec.ts";
import { errnoName } from "../errno.ts";
import type { Attempt } from "../file.ts";
import { reachable } from "../link.ts";
import { DEFAULT_ADDRESSES, type RunOptions } from "../options.ts";
import { runCommand } from "../shell.ts";
import type { System, Watcher } from "../system.ts";
import { Arena } from "./arena.ts";
import { Marshal } from "./marshal.ts";
import { Files } from "./sockets.ts";
import { KernelSettings } from "./settings.ts";
import { configure, Tun } from "./tun.ts";
import {
  ARGUMENTS,
  BUSY,
  DONE,
  ERRNO,
  IDLE,
  NUMBER,
  RESULT,
  STATE,
  type WorkerMemory,
} from "./worker_memory.ts";

/** The thread of system calls. */
export class Caller {
  readonly #memory: WorkerMemory;
  readonly #words: Int32Array;
  readonly #longs: BigInt64Array;

  private constructor(memory: WorkerMemory) {
    this.#memory = memory;
    this.#words = new Int32Array(memory.words);
    this.#longs = new BigInt64Array(memory.longs);
  }

  /** Starts it. */
  static async start(): Promise<Caller> {
    const caller = new Caller({
      words: new SharedArrayBuffer(16),
      longs: new SharedArrayBuffer(64),
      // Non-blocking, so that reading it never waits.
      eventfd: libc().eventfd(0, 0x800),
    });
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve;
      worker.onerror = reject;
      worker.postMessage(caller.#memory);
    });
    return caller;
  }

  get eventfd(): number {
    return this.#memory.eventfd;
  }

  /** Begins a call. */
  begin(number: number, args: readonly (number | bigint)[]): void {
    this.#words[NUMBER] = number;
    for (let i = 0; i < 6; i++) this.#longs[ARGUMENTS + i] = BigInt(args[i] ?? 0);
    Atomics.store(this.#words, STATE, BUSY);
    Atomics.notify(this.#words, STATE);
  }

  /** Whether the call has returned. */
  get over(): boolean {
    return Atomics.load(this.#words, STATE) === DONE;
  }

  /** What the call has returned; null while it goes on. */
  end(): { value: number; errno: number } | null {
    if (!this.over) return null;
    const ended = { value: Number(this.#longs[RESULT]), errno: this.#words[ERRNO]! };
    Atomics.store(this.#words, STATE, IDLE);
    Atomics.notify(this.#words, STATE);
    return ended;
  }
}

const POLLIN = 1;

function waitCalls() {
  return Deno.dlopen("libc.so.6", {
    ppoll: { parameters: ["buffer", "u32", "buffer", "pointer"], result: "i32" },
    read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  }).symbols;
}

/** The kernel of the machine, in the network namespace that this process is in. */
export class KernelSystem implements System {
  readonly patience = 20_000_000;
  /** The kernel's timer wheel is an eighth late at most. */
  readonly drift = 0.13;
  readonly lateness = 1_500_000;
  readonly errors: unknown[] = [];
  readonly localAddress: IpAddress;
  readonly remoteAddress: IpAddress;
  queue: Captured[] = [];
  readonly #watcher: Watcher;
  readonly #tun = new Tun();
  readonly #caller: Caller;
  readonly #files: Files;
  readonly #marshal: Marshal;
  readonly #settings: KernelSettings;
  readonly #start: number;
  readonly #wait = waitCalls();
  readonly #descriptors = new Uint8Array(new ArrayBuffer(16));
  readonly #timeout = new BigInt64Array(new ArrayBuffer(16));
  readonly #eventBytes = new Uint8Array(new ArrayBuffer(8));

  readonly #late: (micros: number) => void;

  constructor(options: RunOptions, watcher: Watcher, caller: Caller, late: (micros: number) => void) {
    this.#late = late;
    const v6 = options.ipVersion === "ipv6";
    const defaults = DEFAULT_ADDRESSES[v6 ? 6 : 4];
    this.#watcher = watcher;
    this.#caller = caller;
    const local = options.localIp ?? defaults.local;
    this.localAddress = IpAddress.parse(local);
    this.remoteAddress = IpAddress.parse(options.remoteIp ?? defaults.remote);
    const gateway = options.gatewayIp ?? defaults.gateway;
    const via = reachable(new Cidr(this.localAddress, v6 ? 48 : 16), IpAddress.parse(gateway))
      ? ["via", gateway]
      : [];
    configure(options, local, via);
    this.#settings = new KernelSettings(v6, via, (message) => watcher.warn(message));
    this.#files = new Files();
    this.#marshal = new Marshal(new Arena(), this.#files, this.#settings, {
      localAddress: this.localAddress,
      remoteAddress: this.remoteAddress,
      bindPort: options.bindPort,
      connectPort: options.connectPort,
      ipVersion: options.ipVersion,
      start: () => (performance.timeOrigin + this.#start) * 1000,
    }, watcher);
    const polled = new DataView(this.#descriptors.buffer);
    for (const [i, fd] of [this.#tun.fd, caller.eventfd].entries()) {
      polled.setInt32(8 * i, fd, true);
      polled.setInt16(8 * i + 4, POLLIN, true);
    }
    this.#start = performance.now();
  }

  get now(): number {
    return Math.round((performance.now() - this.#start) * 1000);
  }

  poll(): number {
    for (let frame = this.#tun.read(); frame !== null; frame = this.#tun.read()) {
      const packet = decode(frame, this.now, this.#tun.segment);
      if (packet !== null) this.queue.push(packet);
    }
    return Infinity;
  }

  advance(to: number): void {
    const left = Math.max(1, to - this.now);
    if (left !== Infinity) {
      this.#timeout[0] = BigInt(Math.floor(left / 1e6));
      this.#timeout[1] = BigInt(Math.round(left % 1e6) * 1000);
    }
    this.#wait.ppoll(this.#descriptors, 2, this.#timeout, null);
    this.#wait.read(this.#caller.eventfd, this.#eventBytes, 8);
    this.#late(this.now - to);
  }

  deliver(frame: Uint8Array): void {
    this.#tun.write(frame);
  }

  call(spec: CallSpec, expected: number): Attempt {
    const made = this.#marshal.prepare(spec, expected);
    this.#caller.begin(made.number, made.args);
    made.begun?.(() => !this.#caller.over);
    return {
      deadline: Infinity,
      run: () => {
        const ended = this.#caller.end();
        if (ended === null) return null;
        if (ended.value < 0) {
          return { value: -1, errno: errnoName(ended.errno), mismatch: null };
        }
        return {
          value: made.value?.(ended.value) ?? ended.value,
          errno: null,
          mismatch: made.ended?.(ended.value) ?? null,
        };
      },
    };
  }

  command(text: string): number {
    return runCommand(text, this.#settings, (message) => this.#watcher.warn(message));
  }

  info(localPort: number, remotePort: number): Record<string, number> {
    return this.#files.info(localPort, remotePort);
  }

  close(): void {
    libc().close(this.#tun.fd);
  }
}
