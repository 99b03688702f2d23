/**
 * The two contenders and their load, each stack reached over one link from the same namespace:
 *
 * ```text
 * peer namespace: kernel sockets, wrk ── TAP ── ethox
 *                                     ├─ veth ── ethox on a packet socket
 *                                     └─ veth ── kernel namespace: Deno.listen, Deno.serve
 * ```
 *
 * @module
 */

import { join } from "node:path";
import { Namespace } from "../tests/harness/namespace.ts";
import type { Process } from "../tests/harness/process.ts";
import type { Measured } from "./peer/main.ts";
import { percentile } from "./statistics.ts";
import { CALLBACKS } from "./services_callbacks.ts";

/**
 * Who is measured: our stack's callbacks, our connections in Deno's shape, our stack on a packet socket (callbacks; connections for HTTP),
 * and Deno's own on the kernel's stack.
 */
export type Contender = "callbacks" | "connections" | "packet" | "kernel";

/** The contenders in the order of the table's columns. */
export const CONTENDERS: readonly Contender[] = ["callbacks", "connections", "packet", "kernel"];

/** Where a contender is found, and as what. */
export interface Target {
  readonly address: string;
  readonly address6: string;
  /** What is added to the services' ports. */
  readonly port: number;
  /** The process that serves, or runs the virtual machine. */
  readonly process: Process;
}

/** Where each is found. */
export type Targets = Readonly<Partial<Record<Contender, Target>>>;

/** Milliseconds that a whole bench may take. */
export const DEADLINE = 20 * 60_000;

/** Options of {@link BenchNetwork.create}. */
export interface BenchNetworkOptions {
  /** No offloads on either link: every frame has 1,500 bytes at most and a checksum. */
  plain?: boolean;
  /** The kernel takes what our stack sends within the write (the TAP's `delivery`), also without offloads. */
  direct?: boolean;
}

/** Everything that the figures over a network need; `await using` it. */
export class BenchNetwork implements AsyncDisposable {
  readonly #peer: Namespace;
  readonly #targets: Targets;
  readonly #stack: AsyncDisposableStack;

  /** @param peer Where the load runs. @param targets Where the contenders are. @param stack What ends with this. */
  constructor(peer: Namespace, targets: Targets, stack: AsyncDisposableStack) {
    this.#peer = peer;
    this.#targets = targets;
    this.#stack = stack;
  }

  /** Makes the namespaces and starts both contenders. */
  static async create({ plain = false, direct = false }: BenchNetworkOptions = {}): Promise<BenchNetwork> {
    await using stack = new AsyncDisposableStack();
    const peer = stack.use(await Namespace.create());
    const kernel = stack.use(await Namespace.create());
    const sockets = stack.use(await Namespace.create());
    for (const namespace of [peer, kernel]) {
      // BBR, a common default, paces bulk senders far below what the path carries.
      await namespace.sysctl("net.ipv4.tcp_congestion_control", "reno");
      await namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535");
      await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
      await namespace.sysctl("net.ipv6.conf.default.accept_dad", "0");
    }
    await peer.tap("tap0", { addresses: ["10.70.1.1/24", "fd70:1::1/64"] });
    await peer.veth("veth0", "10.70.2.1/24", kernel, "veth0", "10.70.2.2/24");
    await peer.ip("address", "add", "fd70:2::1/64", "dev", "veth0");
    await kernel.ip("address", "add", "fd70:2::2/64", "dev", "veth0");
    await peer.veth("veth1", "10.70.3.1/24", sockets, "veth1", null);
    await peer.ip("address", "add", "fd70:3::1/64", "dev", "veth1");
    if (plain) {
      for (const end of [peer, kernel]) await BenchNetwork.withoutOffloads(end, "veth0");
      for (const end of [peer, sockets]) await BenchNetwork.withoutOffloads(end, "veth1");
    }
    const options = (device: string, ...addresses: string[]) => [
      ...["--device", device, ...addresses.flatMap((address) => ["--address", address])],
      ...plain ? ["--plain"] : [],
      ...direct ? ["--direct"] : [],
    ];
    const deadline = DEADLINE;
    const theirs = kernel.deno("bench/contender_kernel.ts", [], { deadline });
    const ours = peer.deno(
      "bench/contender_ethox.ts",
      options("tap:tap0", "10.70.1.2/24", "fd70:1::2/64"),
      { deadline },
    );
    const packet = sockets.deno(
      "bench/contender_ethox.ts",
      options("packet:veth1", "10.70.3.2/24", "fd70:3::2/64"),
      { deadline },
    );
    const datagrams = kernel.deno("bench/datagrams_kernel.ts", [], { deadline });
    await Promise.all([theirs, ours, packet, datagrams].map((process) => process.printed(/^ready$/m)));
    const connections = { address: "10.70.1.2", address6: "fd70:1::2", port: 0, process: ours };
    const targets: Targets = {
      callbacks: { ...connections, port: CALLBACKS },
      connections,
      packet: { address: "10.70.3.2", address6: "fd70:3::2", port: CALLBACKS, process: packet },
      kernel: { address: "10.70.2.2", address6: "fd70:2::2", port: 0, process: theirs },
    };
    return new BenchNetwork(peer, targets, stack.move());
  }

  /** Turns off what an interface of the kernel's leaves to others. */
  static async withoutOffloads(namespace: Namespace, name: string): Promise<void> {
    const features = ["tso", "gso", "gro", "tx", "rx"].flatMap((feature) => [feature, "off"]);
    await namespace.run("ethtool", ["-K", name, ...features]);
  }

  #target(contender: Contender): Target {
    const target = this.#targets[contender];
    if (target === undefined) throw new TypeError(`Nobody is measured as "${contender}" here`);
    return target;
  }

  /** The namespace in which the load runs. */
  get peer(): Namespace {
    return this.#peer;
  }

  /** Runs one mode of the peer against a contender. */
  async load(
    contender: Contender,
    mode: string,
    seconds: number,
    number = 1,
    version: 4 | 6 = 4,
  ): Promise<Measured> {
    const { address, address6, port } = this.#target(contender);
    const args = [
      mode,
      version === 4 ? address : address6,
      String(seconds),
      String(number),
      String(port),
    ];
    return await runLoad(this.#peer, args, seconds);
  }

  /** Runs wrk against a contender's HTTP server, with some requests at once on each connection. */
  async http(
    contender: Contender,
    seconds: number,
    connections: number,
    pipelined = 1,
  ): Promise<Measured> {
    const args = ["-t1", `-c${connections}`, `-d${seconds}s`, "--latency"];
    if (pipelined > 1) args.push("-s", join(import.meta.dirname!, "peer/pipeline.lua"));
    args.push(`http://${this.#target(contender).address}:80/`);
    if (pipelined > 1) args.push("--", String(pipelined));
    return readWrk((await this.#peer.run("wrk", args, { deadline: limit(seconds) })).stdout);
  }

  /** Runs ping, 200 times a second. */
  async ping(contender: Contender, seconds: number): Promise<Measured> {
    const args = ["-i", "0.005", "-c", String(200 * seconds), this.#target(contender).address];
    return readPing((await this.#peer.run("ping", args, { deadline: limit(seconds) })).stdout);
  }

  /** CPU time of a contender's processes while nobody asks anything of it. */
  async idle(contender: Contender, seconds: number): Promise<Measured> {
    const { process } = this.#target(contender);
    const pids = await descendants(process.pid);
    const before = await cpuTime(pids);
    const start = performance.now();
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
    const elapsed = (performance.now() - start) / 1000;
    return { cpu_percent: (await cpuTime(pids) - before) / elapsed * 100 };
  }

  /** Ends the contenders and removes the namespaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/** Runs the load in a namespace. @param args Of `peer/main.ts`. */
export async function runLoad(namespace: Namespace, args: string[], seconds: number): Promise<Measured> {
  const { stdout } = await runChecked(
    namespace.deno("bench/peer/main.ts", args, { deadline: limit(seconds) }),
  );
  return JSON.parse(stdout) as Measured;
}

function limit(seconds: number): number {
  return seconds * 1000 + 20_000;
}

async function runChecked(process: Process): Promise<{ stdout: string }> {
  const result = await process.ended;
  if (result.code !== 0) throw new Error(`The peer failed: ${result.stderr.trim()}`);
  return result;
}

/** Reads what wrk printed. Throws if a connection failed or a response was not 2xx or 3xx. */
export function readWrk(text: string): Measured {
  const trouble = /^\s*(Socket errors:.*|Non-2xx or 3xx responses:.*)$/m.exec(text)?.[1];
  if (trouble !== undefined) throw new Error(`wrk reports: ${trouble}`);
  const rate = Number(/^Requests\/sec:\s*([\d.]+)$/m.exec(text)?.[1] ?? NaN);
  const requests = Number(/^\s*(\d+) requests in/m.exec(text)?.[1] ?? NaN);
  if (!(rate > 0) || !(requests > 0)) throw new Error(`wrk measured nothing:\n${text}`);
  const latency = (share: string) => {
    const [, value, unit] = new RegExp(`^\\s*${share}%\\s+([\\d.]+)(us|ms|s)$`, "m").exec(text) ?? [];
    return Number(value) * (unit === "us" ? 1 : unit === "ms" ? 1e3 : 1e6);
  };
  return { requests_per_second: rate, p50_us: latency("50"), p99_us: latency("99"), requests };
}

/** Reads what ping printed. Throws if an answer is missing. */
export function readPing(text: string): Measured {
  const [, sent, received] = /^(\d+) packets transmitted, (\d+) received/m.exec(text) ?? [];
  if (sent === undefined || sent !== received) throw new Error(`ping lost answers:\n${text.slice(-400)}`);
  const times = [...text.matchAll(/ time=([\d.]+) ms$/gm)].map(([, value]) => Number(value) * 1000);
  if (times.length !== Number(sent)) throw new Error(`ping printed ${times.length} times of ${sent}`);
  return { p50_us: percentile(times, 0.5), p99_us: percentile(times, 0.99), requests: times.length };
}

/** Clock ticks of a second in `/proc`. */
const TICKS = 100;

/** A process and all that it has started. */
async function descendants(pid: number): Promise<number[]> {
  const children = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`);
  const all = [pid];
  for (const child of children.split(" ")) if (child !== "") all.push(...await descendants(Number(child)));
  return all;
}

/** Seconds of CPU time that processes have used, those in the kernel included. */
async function cpuTime(pids: readonly number[]): Promise<number> {
  let ticks = 0;
  for (const pid of pids) {
    const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
    // The name, in parentheses, may hold anything; the fields after it are the 3rd and on.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks / TICKS;
}
