/**
 * Goodput over bad links, ours beside the kernel's with the same congestion control over the same link in one run.
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
import type { Process } from "../tests/harness/process.ts";
import type { Measured } from "./peer/main.ts";
import { median } from "./statistics.ts";
import { figure, table } from "./table.ts";
import { CALLBACKS } from "./services_callbacks.ts";

/** One link, the same both ways. */
interface Link {
  /** What the table calls it. */
  title: string;
  /** What it does to frames; see `drivers/impairment.ts`. */
  impairment: NonNullable<ImpairOptions["send"]>;
}

/** One way, for a round trip of 20 ms. */
const DELAY = 10_000;
/** Bits a second of a link whose rate is not what is measured. */
const FAST = 1e9;

const LINKS: readonly Link[] = [
  { title: "0.1% loss", impairment: { delay: DELAY, rate: FAST, loss: 0.001 } },
  { title: "1% loss", impairment: { delay: DELAY, rate: FAST, loss: 0.01 } },
  { title: "3% loss", impairment: { delay: DELAY, rate: FAST, loss: 0.03 } },
  { title: "10% reordered", impairment: { delay: DELAY, rate: FAST, reorder: 0.1, reorderDelay: 2_000 } },
  { title: "100 Mbit/s, queue of 20", impairment: { delay: DELAY, rate: 100e6, queueFrames: 20 } },
];

const PEER = "10.71.0.1", HOST = "10.71.0.2", OTHER = "10.71.0.3";

/** The link that two flows share: its queue holds what is in flight on it. */
const SHARED = { delay: DELAY, rate: 100e6, queueFrames: 165 };
/** Seconds for which they share it: long enough for the later one to get its part. */
const SHARED_SECONDS = 15;

/** Congestion controls that both have. */
export const LOSS_CONGESTION = ["cubic", "reno", "bbr"] as const;

/** Milliseconds beyond the load itself until a run has failed. */
const GRACE = 30_000;

type Direction = "send" | "receive";

/** Two namespaces, and what joins them for one run at a time. */
class LossNetwork implements AsyncDisposable {
  readonly #peer: Namespace;
  readonly #kernel: Namespace;
  readonly #stack: AsyncDisposableStack;

  private constructor(peer: Namespace, kernel: Namespace, stack: AsyncDisposableStack) {
    this.#peer = peer;
    this.#kernel = kernel;
    this.#stack = stack;
  }

  static async create(): Promise<LossNetwork> {
    await using stack = new AsyncDisposableStack();
    const peer = stack.use(await Namespace.create());
    const kernel = stack.use(await Namespace.create());
    await peer.tap("tap0", { addresses: [`${PEER}/24`] });
    await kernel.tap("tap1", { addresses: [`${HOST}/24`] });
    for (const namespace of [peer, kernel]) {
      const services = namespace.deno("bench/contender_kernel.ts", [], { deadline: 60 * 60_000 });
      await services.printed(/^ready$/m);
    }
    return new LossNetwork(peer, kernel, stack.move());
  }

  /** Bits a second that arrive. `direction` is that of the data, as the contender sees it. */
  async measure(
    who: "ethox" | "kernel",
    direction: Direction,
    link: ImpairOptions,
    congestion: string,
    seconds: number,
  ): Promise<number> {
    const far = who === "ethox" ? [`${HOST}/24`, congestion] : [this.#kernel.name];
    await using joint = this.#peer.deno("bench/loss_link.ts", [who, JSON.stringify(link), ...far], {
      deadline: seconds * 1000 + GRACE,
    });
    await joint.printed(/^ready$/m);
    // The address is another station's now.
    await this.#peer.run("ip", ["neigh", "flush", "dev", "tap0"]);
    let load: Process;
    const options = { deadline: seconds * 1000 + GRACE };
    if (direction === "receive") {
      const port = who === "ethox" ? CALLBACKS : 0;
      load = this.#peer.deno(
        "bench/peer/main.ts",
        ["send", HOST, `${seconds}`, "1", `${port}`, congestion],
        options,
      );
    } else if (who === "ethox") {
      load = this.#peer.deno(
        "bench/peer/main.ts",
        ["receive", HOST, `${seconds}`, "1", `${CALLBACKS}`],
        options,
      );
    } else {
      await this.#kernel.run("ip", ["neigh", "flush", "dev", "tap1"]);
      load = this.#kernel.deno(
        "bench/peer/main.ts",
        ["send", PEER, `${seconds}`, "1", "0", congestion],
        options,
      );
    }
    const result = await load.ended;
    if (result.code !== 0) throw new Error(`The load failed: ${result.stderr.trim()}`);
    return (JSON.parse(result.stdout) as Measured).bits_per_second!;
  }

  /** Bits a second of one flow of ours and one of the kernel's, at a time over one link to the peer. */
  async share(link: ImpairOptions, congestion: string, seconds: number): Promise<[number, number]> {
    const deadline = seconds * 1000 + GRACE;
    const far = [this.#kernel.name, `${OTHER}/24`, congestion];
    await using joint = this.#peer.deno("bench/loss_link.ts", ["shared", JSON.stringify(link), ...far], {
      deadline,
    });
    await joint.printed(/^ready$/m);
    await this.#peer.run("ip", ["neigh", "flush", "dev", "tap0"]);
    await this.#kernel.run("ip", ["neigh", "flush", "dev", "tap1"]);
    const loads = [
      this.#peer.deno("bench/peer/main.ts", ["receive", OTHER, `${seconds}`, "1", `${CALLBACKS}`], {
        deadline,
      }),
      this.#kernel.deno("bench/peer/main.ts", ["send", PEER, `${seconds}`, "1", "0", congestion], {
        deadline,
      }),
    ];
    const [ours, theirs] = await Promise.all(loads.map(async (load) => {
      const result = await load.ended;
      if (result.code !== 0) throw new Error(`The load failed: ${result.stderr.trim()}`);
      return (JSON.parse(result.stdout) as Measured).bits_per_second!;
    }));
    return [ours!, theirs!];
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** Measures all links and prints the table. @returns Every value, by row. */
export async function measureLoss(seconds: number, rounds: number): Promise<Record<string, number[]>> {
  await using network = await LossNetwork.create();
  const values: Record<string, number[]> = {};
  const rows: string[][] = [];
  for (const congestion of LOSS_CONGESTION) {
    for (const { title, impairment } of LINKS) {
      for (const direction of ["send", "receive"] as const) {
        const ratios: number[] = [], ours: number[] = [], theirs: number[] = [];
        for (let round = 0; round < rounds; round++) {
          const link = { seed: 100 + round, send: impairment, receive: impairment };
          const order = round % 2 === 0 ? ["ethox", "kernel"] as const : ["kernel", "ethox"] as const;
          for (const who of order) {
            const rate = await network.measure(who, direction, link, congestion, seconds);
            (who === "ethox" ? ours : theirs).push(rate / 1e6);
          }
          ratios.push(ours[round]! / theirs[round]!);
        }
        const name = `${congestion}, ${title}, ${direction}`;
        values[`${name}, ethox`] = ours;
        values[`${name}, kernel`] = theirs;
        const row = [
          congestion,
          title,
          direction === "send" ? "us to kernel" : "kernel to us",
          figure(median(ours)),
          figure(median(theirs)),
          (median(ours) / median(theirs)).toFixed(2),
        ];
        rows.push(row);
        console.log(row.join("  "));
      }
    }
  }
  const shares: string[][] = [];
  for (const congestion of LOSS_CONGESTION) {
    const pairs: [number, number][] = [];
    for (let round = 0; round < rounds; round++) {
      const link = { seed: 100 + round, send: SHARED, receive: { delay: DELAY } };
      pairs.push(await network.share(link, congestion, SHARED_SECONDS));
    }
    const ours = pairs.map(([bits]) => bits / 1e6), theirs = pairs.map(([, bits]) => bits / 1e6);
    values[`${congestion}, shared, ethox`] = ours;
    values[`${congestion}, shared, kernel`] = theirs;
    // Jain's index: 1 when both have the same, 0.5 when one has all.
    const index = median(pairs.map(([a, b]) => (a + b) ** 2 / (2 * (a * a + b * b))));
    shares.push([congestion, figure(median(ours)), figure(median(theirs)), index.toFixed(3)]);
  }
  const header = [
    "Congestion control",
    "Link, 20 ms",
    "Data",
    "ethox, Mbit/s",
    "kernel, Mbit/s",
    "ratio of medians",
  ];
  console.log(`\n${table(header, rows)}`);
  const shareHeader = ["100 Mbit/s shared", "ethox, Mbit/s", "kernel, Mbit/s", "Jain's index"];
  console.log(`\n${table(shareHeader, shares)}`);
  return values;
}
