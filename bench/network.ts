/**
 * The two contenders and their load, each stack reached over one link from the same namespace:
 *
 * ```text
 * peer namespace: kernel sockets, wrk ── TAP ── ethox
 *                                     └─ veth ── kernel namespace: Deno.listen, Deno.serve
 * ```
 *
 * @module
 */

import { Namespace } from "../tests/harness/namespace.ts";
import type { Process } from "../tests/harness/process.ts";
import type { Measured } from "./peer/main.ts";
import { CALLBACKS } from "./services_callbacks.ts";

/** Who is measured: our stack's callbacks, our connections in Deno's shape, and Deno's own on the kernel's stack. */
export type Contender = "callbacks" | "connections" | "kernel";

/** The contenders in the order of the table's columns. */
export const CONTENDERS: readonly Contender[] = ["callbacks", "connections", "kernel"];

const TAP_ADDRESS = "10.70.1.2", VETH_ADDRESS = "10.70.2.2";

/** Where each is found: its address, and what is added to the services' ports. */
export type Places = Readonly<Record<Contender, { readonly address: string; readonly port: number }>>;

const PLACES: Places = {
  callbacks: { address: TAP_ADDRESS, port: CALLBACKS },
  connections: { address: TAP_ADDRESS, port: 0 },
  kernel: { address: VETH_ADDRESS, port: 0 },
};

/** Milliseconds that a whole bench may take. */
export const DEADLINE = 20 * 60_000;

/** Everything that the figures over a network need; `await using` it. */
export class BenchNetwork implements AsyncDisposable {
  readonly #peer: Namespace;
  readonly #places: Places;
  readonly #stack: AsyncDisposableStack;

  /** @param peer Where the load runs. @param places Where the contenders are. @param stack What ends with this. */
  constructor(peer: Namespace, places: Places, stack: AsyncDisposableStack) {
    this.#peer = peer;
    this.#places = places;
    this.#stack = stack;
  }

  /** Makes the namespaces and starts both contenders. */
  static async create(): Promise<BenchNetwork> {
    await using stack = new AsyncDisposableStack();
    const peer = stack.use(await Namespace.create());
    const kernel = stack.use(await Namespace.create());
    for (const namespace of [peer, kernel]) {
      // BBR, a common default, paces bulk senders far below what the path carries.
      await namespace.sysctl("net.ipv4.tcp_congestion_control", "reno");
      await namespace.sysctl("net.ipv4.ip_local_port_range", "1024 65535");
    }
    await peer.tap("tap0", { addresses: ["10.70.1.1/24"] });
    await peer.veth("veth0", "10.70.2.1/24", kernel, "veth0", `${VETH_ADDRESS}/24`);
    const processes: Process[] = [
      kernel.deno("bench/contender_kernel.ts", [], { deadline: DEADLINE }),
      peer.deno("bench/contender_ethox.ts", ["--device", "tap:tap0", "--address", `${TAP_ADDRESS}/24`], {
        deadline: DEADLINE,
      }),
    ];
    await Promise.all(processes.map((process) => process.printed(/^ready$/m)));
    return new BenchNetwork(peer, PLACES, stack.move());
  }

  /** The namespace in which the load runs. */
  get peer(): Namespace {
    return this.#peer;
  }

  /** Runs one mode of the peer against a contender. */
  async load(contender: Contender, mode: string, seconds: number, number = 1): Promise<Measured> {
    const { address, port } = this.#places[contender];
    const args = [mode, address, String(seconds), String(number), String(port)];
    const { stdout } = await runChecked(
      this.#peer.deno("bench/peer/main.ts", args, { deadline: limit(seconds) }),
    );
    return JSON.parse(stdout) as Measured;
  }

  /** Runs wrk against a contender's HTTP server. */
  async http(contender: Contender, seconds: number, connections: number): Promise<Measured> {
    const args = [
      "-t1",
      `-c${connections}`,
      `-d${seconds}s`,
      "--latency",
      `http://${this.#places[contender].address}:80/`,
    ];
    return readWrk((await this.#peer.run("wrk", args, { deadline: limit(seconds) })).stdout);
  }

  /** Ends the contenders and removes the namespaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
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
