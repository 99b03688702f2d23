/**
 * Two namespaces that reach each other over a router, by three ways between which the same load alternates:
 *
 * ```text
 * source: kernel sockets ── TAP ─── ethox, forwarding ──── TAP ── target: Deno.listen
 *                       ├── TAP ─── read, write ────────── TAP ──┤
 *                       └── veth ── the kernel, forwarding ─ veth ┘
 * ```
 *
 * @module
 */

import { Namespace } from "../tests/harness/namespace.ts";
import { BenchNetwork, type Contender, DEADLINE, runLoad } from "./network.ts";
import type { Measured } from "./peer/main.ts";

/** What {@link ForwardingNetwork.load} can send through: our router, the kernel's, or a bare wire. */
export type Way = "ours" | "kernel" | "bare";

/** The links: plain frames, the same taken within our write (the TAP's `delivery`), or super-frames. */
export type Links = "plain" | "direct" | "super";

/** The target's address by each way. */
const TARGETS: Record<Way, string> = { ours: "10.71.2.1", bare: "10.72.0.2", kernel: "10.73.2.1" };

/** The namespaces and the programs in them; `await using` it. */
export class ForwardingNetwork implements AsyncDisposable {
  readonly #source: Namespace;
  readonly #stack: AsyncDisposableStack;

  private constructor(source: Namespace, stack: AsyncDisposableStack) {
    this.#source = source;
    this.#stack = stack;
  }

  /** Makes them. */
  static async create(links: Links): Promise<ForwardingNetwork> {
    const plain = links !== "super";
    await using stack = new AsyncDisposableStack();
    const source = stack.use(await Namespace.create());
    const target = stack.use(await Namespace.create());
    const router = stack.use(await Namespace.create());
    for (const end of [source, target]) await end.sysctl("net.ipv4.tcp_congestion_control", "reno");
    await router.sysctl("net.ipv4.ip_forward", "1");
    await source.tap("ours", { addresses: ["10.71.1.1/24"] });
    await target.tap("ours", { addresses: ["10.71.2.1/24"] });
    await source.ip("route", "add", "10.71.2.0/24", "via", "10.71.1.254");
    await target.ip("route", "add", "10.71.1.0/24", "via", "10.71.2.254");
    await source.tap("bare", { addresses: ["10.72.0.1/24"] });
    await target.tap("bare", { addresses: ["10.72.0.2/24"] });
    await source.veth("kernel", "10.73.1.1/24", router, "left", "10.73.1.254/24");
    await target.veth("kernel", "10.73.2.1/24", router, "right", "10.73.2.254/24");
    await source.ip("route", "add", "10.73.2.0/24", "via", "10.73.1.254");
    await target.ip("route", "add", "10.73.1.0/24", "via", "10.73.2.254");
    if (plain) {
      for (
        const [end, link] of [[source, "kernel"], [target, "kernel"], [router, "left"], [
          router,
          "right",
        ]] as const
      ) {
        await BenchNetwork.withoutOffloads(end, link);
      }
    }
    const options = [...plain ? ["--plain"] : [], ...links === "direct" ? ["--direct"] : []];
    const program = (args: string[]) =>
      source.deno("bench/contender_router.ts", [...args, ...options], { deadline: DEADLINE });
    const processes = [
      target.deno("bench/contender_kernel.ts", [], { deadline: DEADLINE }),
      program([source.name, "ours", target.name, "ours", "10.71.1.254/24", "10.71.2.254/24"]),
      program([source.name, "bare", target.name, "bare", "--bare"]),
    ];
    await Promise.all(processes.map((process) => process.printed(/^ready$/m)));
    return new ForwardingNetwork(source, stack.move());
  }

  /** Sends in bulk over TCP by one of the ways. */
  async load(way: Way, seconds: number): Promise<Measured> {
    return await runLoad(this.#source, ["send", TARGETS[way], String(seconds)], seconds);
  }

  /** What a contender forwards; beside ours, in the same moment, what a wire between the devices carries. */
  async measure(contender: Contender, seconds: number): Promise<Measured> {
    if (contender === "kernel") return await this.load("kernel", seconds);
    const ours = await this.load("ours", seconds);
    const bare = await this.load("bare", seconds);
    return { ...ours, of_bare: ours["bits_per_second"]! / bare["bits_per_second"]! };
  }

  /** Ends the programs and removes the namespaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
