/**
 * Goodput over bad links, ours beside the kernel's with the same congestion control over the same link in one run; and
 * what flows that share a link leave to each other.
 *
 * @module
 */

import type { ImpairOptions } from "../drivers/impair.ts";
import { type Direction, LossNetwork, type LossRun } from "./loss_network.ts";
import { median, pairedRatio } from "./statistics.ts";
import { figure, table } from "./table.ts";

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

/** The link that two flows share: its queue holds what is in flight on it. */
const SHARED = { delay: DELAY, rate: 100e6, queueFrames: 165 };
/** Times the seconds of other rows for which they share it: long enough for the later one to get its part. */
const SHARED_TIMES = 3;

/**
 * A run in which other programs had more than this share of the machine's processors is done once more, whoever was
 * measured and whatever it showed; as many times in a row of the table as it has runs of one contender.
 */
const MOST_OTHERS = 0.1;

/** Congestion controls that both have. */
export const LOSS_CONGESTION = ["cubic", "bbr", "reno"] as const;

/** How long, how often and what is measured. */
export interface LossOptions {
  /** Seconds of one run. */
  seconds: number;
  /** Runs of each contender in a row of the table. */
  rounds: number;
  /** Rows whose name contains one of these; all without any. */
  rows: readonly string[];
}

/** Measures and prints the tables. @returns Every value in Mbit/s, by row and contender. */
export async function measureLoss(options: LossOptions): Promise<Record<string, number[]>> {
  await using network = await LossNetwork.create();
  const values: Record<string, number[]> = {};
  const goodput = await measureGoodput(network, options, values);
  const shares = await measureShares(network, options, values);
  const header = [
    "Congestion control, link, data",
    "ethox",
    "kernel",
    "ratio",
    "5 to 95%",
    "again",
    "others",
    "late, ms",
    "ethox, all",
    "kernel, all",
  ];
  if (goodput.length > 0) {
    console.log(`\n20 ms, Mbit/s, medians of ${options.rounds} rounds\n${table(header, goodput)}`);
  }
  const shareHeader = ["100 Mbit/s shared", "ethox", "other", "Jain's index", "all"];
  if (shares.length > 0) console.log(`\n${table(shareHeader, shares)}`);
  return values;
}

async function measureGoodput(
  network: LossNetwork,
  { seconds, rounds, rows }: LossOptions,
  values: Record<string, number[]>,
): Promise<string[][]> {
  const shown: string[][] = [];
  for (const congestion of LOSS_CONGESTION) {
    for (const { title, impairment } of LINKS) {
      for (const direction of ["send", "receive"] satisfies Direction[]) {
        const name = `${congestion}, ${title}, ${direction === "send" ? "us to kernel" : "kernel to us"}`;
        if (!isSelected(name, rows)) continue;
        const runs: Record<"ethox" | "kernel", LossRun[]> = { ethox: [], kernel: [] };
        let spare = rounds;
        for (let round = 0; round < rounds; round++) {
          // Both meet the same chance, and a busy machine hits whoever is first as often as the other.
          const link = { seed: 100 + round, send: impairment, receive: impairment };
          const order = round % 2 === 0 ? ["ethox", "kernel"] as const : ["kernel", "ethox"] as const;
          for (const who of order) {
            let run = await network.measure(who, direction, link, congestion, seconds);
            while (run.others > MOST_OTHERS && spare > 0) {
              spare--;
              const again = await network.measure(who, direction, link, congestion, seconds);
              if (again.others < run.others) run = again;
            }
            runs[who].push(run);
          }
        }
        shown.push([name, ...cells(runs.ethox, runs.kernel, rounds - spare)]);
        for (const [who, all] of Object.entries(runs)) {
          values[`${name}, ${who}`] = all.map(({ rate }) => rate / 1e6);
          values[`${name}, ${who}, others`] = all.map(({ others }) => others);
          values[`${name}, ${who}, late`] = all.map(({ link }) => link.lateness);
        }
        console.log(shown.at(-1)!.join("  "));
      }
    }
  }
  return shown;
}

async function measureShares(
  network: LossNetwork,
  { seconds, rounds, rows }: LossOptions,
  values: Record<string, number[]>,
): Promise<string[][]> {
  const shown: string[][] = [];
  for (const congestion of LOSS_CONGESTION) {
    for (const other of ["ethox", "kernel"] as const) {
      const name = `${congestion}, shared with ${other}`;
      if (!isSelected(name, rows)) continue;
      const ours: number[] = values[`${name}, ours`] = [];
      const theirs: number[] = values[`${name}, other`] = [];
      for (let round = 0; round < rounds; round++) {
        const link = { seed: 100 + round, send: SHARED, receive: { delay: DELAY } };
        const [one, two] = await network.share(other, link, congestion, SHARED_TIMES * seconds);
        ours.push(one / 1e6);
        theirs.push(two / 1e6);
      }
      const indices = ours.map((one, i) => jain(one, theirs[i]!));
      shown.push([
        name,
        figure(median(ours)),
        figure(median(theirs)),
        median(indices).toFixed(3),
        indices.map((index) => index.toFixed(3)).join(" "),
      ]);
      console.log(shown.at(-1)!.join("  "));
    }
  }
  return shown;
}

function isSelected(name: string, rows: readonly string[]): boolean {
  return rows.length === 0 || rows.some((row) => name.includes(row));
}

/** A row's cells behind its name. @param again How many runs were done once more. */
function cells(ours: readonly LossRun[], theirs: readonly LossRun[], again: number): string[] {
  const [our, their] = [ours, theirs].map((runs) => runs.map(({ rate }) => rate / 1e6)) as [
    number[],
    number[],
  ];
  const late = (runs: readonly LossRun[]) =>
    (median(runs.map(({ link }) => link.lateness)) / 1000).toFixed(2);
  const others = Math.max(...[...ours, ...theirs].map((run) => run.others));
  const { ratio, low, high } = pairedRatio(our, their);
  return [
    figure(median(our)),
    figure(median(their)),
    ratio.toFixed(2),
    `${low.toFixed(2)} to ${high.toFixed(2)}`,
    `${again}`,
    `${Math.round(100 * others)}%`,
    `${late(ours)} ${late(theirs)}`,
    all(our),
    all(their),
  ];
}

/** Every value, round by round. */
function all(values: readonly number[]): string {
  return values.map(figure).join(" ");
}

/** Jain's index: 1 when both have the same, 0.5 when one has all. */
function jain(one: number, other: number): number {
  return (one + other) ** 2 / (2 * (one * one + other * other));
}
