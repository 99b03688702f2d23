/**
 * The namespaces of `bench/loss.ts`, and what joins them for one run at a time.
 *
 * ```text
 * peer namespace: kernel socket ── TAP ── impair ── ethox
 * peer namespace: kernel socket ── TAP ── impair ── TAP ── kernel socket: kernel namespace
 * ```
 *
 * @module
 */

import type { ImpairOptions } from "../drivers/impair.ts";
import { Namespace } from "../tests/harness/namespace.ts";
import { Disturbance } from "./disturbance.ts";
import type { LinkReport } from "./loss_link.ts";
import type { Measured } from "./peer/main.ts";
import { CALLBACKS } from "./services_callbacks.ts";

const PEER = "10.71.0.1", HOST = "10.71.0.2", OTHER = "10.71.0.3";

/** Milliseconds beyond the load itself until a run has failed. */
const GRACE = 30_000;
/** Milliseconds for a whole table. */
const DEADLINE = 3 * 3600_000;

/** Which way the data goes, as the contender sees it. */
export type Direction = "send" | "receive";

/** What one run has shown. */
export interface LossRun {
  /** Bits a second that arrived. */
  rate: number;
  /** The share of the machine's processors that programs had which are not of the bench, 0 to 1. */
  others: number;
  /** How the link kept its own time. */
  link: LinkReport;
}

/** Two namespaces, and what joins them for one run at a time. */
export class LossNetwork implements AsyncDisposable {
  readonly #peer: Namespace;
  readonly #kernel: Namespace;
  readonly #services: readonly number[];
  readonly #stack: AsyncDisposableStack;

  private constructor(
    peer: Namespace,
    kernel: Namespace,
    services: readonly number[],
    stack: AsyncDisposableStack,
  ) {
    this.#peer = peer;
    this.#kernel = kernel;
    this.#services = services;
    this.#stack = stack;
  }

  static async create(): Promise<LossNetwork> {
    await using stack = new AsyncDisposableStack();
    const peer = stack.use(await Namespace.create());
    const kernel = stack.use(await Namespace.create());
    await peer.tap("tap0", { addresses: [`${PEER}/24`] });
    await kernel.tap("tap1", { addresses: [`${HOST}/24`] });
    const pids: number[] = [];
    for (const namespace of [peer, kernel]) {
      // What a kernel has learnt of one contender (slow start threshold, reordering) is nothing to begin the next run with.
      await namespace.sysctl("net.ipv4.tcp_no_metrics_save", "1");
      const services = namespace.deno("bench/contender_kernel.ts", [], { deadline: DEADLINE });
      await services.printed(/^ready$/m);
      pids.push(services.pid);
    }
    return new LossNetwork(peer, kernel, pids, stack.move());
  }

  /** One connection over the link. `direction` is that of the data, as the contender sees it. */
  async measure(
    who: "ethox" | "kernel",
    direction: Direction,
    link: ImpairOptions,
    congestion: string,
    seconds: number,
  ): Promise<LossRun> {
    const far = who === "ethox" ? [`${HOST}/24`, congestion] : [this.#kernel.name];
    await using joint = this.#peer.deno("bench/loss_link.ts", [who, JSON.stringify(link), ...far], {
      deadline: seconds * 1000 + GRACE,
    });
    await joint.printed(/^ready$/m);
    // The address is another station's now.
    await this.#peer.run("ip", ["neigh", "flush", "dev", "tap0"]);
    if (who === "kernel") await this.#kernel.run("ip", ["neigh", "flush", "dev", "tap1"]);
    const disturbance = new Disturbance([...this.#services, joint.pid]);
    const rate = await this.#load(who, direction, congestion, seconds);
    const others = disturbance.others();
    const { stdout } = await joint.stop();
    return { rate, others, link: JSON.parse(stdout.trim().split("\n").at(-1)!) as LinkReport };
  }

  #load(who: "ethox" | "kernel", direction: Direction, congestion: string, seconds: number): Promise<number> {
    const port = who === "ethox" ? CALLBACKS : 0;
    if (direction === "receive") {
      return load(this.#peer, ["send", HOST, `${seconds}`, "1", `${port}`, congestion], seconds);
    }
    return who === "ethox"
      ? load(this.#peer, ["receive", HOST, `${seconds}`, "1", `${port}`], seconds)
      : load(this.#kernel, ["send", PEER, `${seconds}`, "1", "0", congestion], seconds);
  }

  /** Bits a second of two flows to the peer over one link: ours, and another of ours or one of the kernel's. */
  async share(
    other: "ethox" | "kernel",
    link: ImpairOptions,
    congestion: string,
    seconds: number,
  ): Promise<[number, number]> {
    const far = other === "kernel"
      ? ["shared", JSON.stringify(link), this.#kernel.name, `${OTHER}/24`, congestion]
      : ["ethox", JSON.stringify(link), `${OTHER}/24`, congestion];
    await using joint = this.#peer.deno("bench/loss_link.ts", far, { deadline: seconds * 1000 + GRACE });
    await joint.printed(/^ready$/m);
    await this.#peer.run("ip", ["neigh", "flush", "dev", "tap0"]);
    await this.#kernel.run("ip", ["neigh", "flush", "dev", "tap1"]);
    const ours = ["receive", OTHER, `${seconds}`, "1", `${CALLBACKS}`];
    const [one, two] = await Promise.all([
      load(this.#peer, ours, seconds),
      other === "ethox"
        ? load(this.#peer, ours, seconds)
        : load(this.#kernel, ["send", PEER, `${seconds}`, "1", "0", congestion], seconds),
    ]);
    return [one, two];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** What a load says whose connection stood still for longer than it waits. */
const STOOD_STILL = /(Sending|Receiving|Connecting to \S+) failed/;

/** Runs a load for some seconds. @returns The bits a second that it moved; 0 when nothing moved for so long that it gave up. */
async function load(place: Namespace, args: string[], seconds: number): Promise<number> {
  const process = place.deno("bench/peer/main.ts", args, { deadline: seconds * 1000 + GRACE });
  const { code, stdout, stderr } = await process.ended;
  if (code === 0) return (JSON.parse(stdout) as Measured).bits_per_second!;
  const [given] = STOOD_STILL.exec(stderr) ?? [];
  if (given === undefined) throw new Error(`The load failed: ${stderr.trim()}`);
  console.error(`A run counts as 0: ${given}`);
  return 0;
}
