/**
 * `deno task simulate --seed N --runs M`: drives stacks through random links and random applications in virtual time.
 *
 * World `i` of `M` has seed `N + i`. A world that fails is run again with its story told; the last line is
 * `N passed, N failed`, and the exit status 1 if any failed.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { CaptureFile } from "./capture_file.ts";
import { type Outcome, World, type WorldOptions } from "./world.ts";

/** Lines of the story that are printed. */
const STORY = 200;

const USAGE =
  `Usage: deno task simulate [--seed N] [--runs M] [--connections K] [--pcapng FILE] [--story LINES]

  --seed N         Seed of the first world (default 1)
  --runs M         Worlds, with seeds N, N+1, … (default 100)
  --connections K  Connections of each world (default: drawn)
  --pcapng FILE    Writes the frames of the world that fails first, or of the only one
  --story LINES    Lines that are told of a failure (default ${STORY})`;

/** What many worlds came to. */
export interface Totals {
  passed: number;
  failed: number;
  connections: number;
  unconnected: number;
  frames: number;
  bytes: number;
  /** Virtual seconds. */
  seconds: number;
}

/** Runs worlds with seeds from `seed`. @param onFailure Is told of each that fails. */
export function simulate(
  seed: number,
  runs: number,
  options: WorldOptions,
  onFailure: (outcome: Outcome) => void,
  until: () => boolean = () => false,
): Totals {
  const totals: Totals = {
    passed: 0,
    failed: 0,
    connections: 0,
    unconnected: 0,
    frames: 0,
    bytes: 0,
    seconds: 0,
  };
  for (let i = 0; i < runs && !until(); i++) {
    const outcome = new World(seed + i, options).run();
    if (outcome.failure === null) totals.passed++;
    else {
      totals.failed++;
      onFailure(outcome);
    }
    totals.connections += outcome.connections;
    totals.unconnected += outcome.unconnected;
    totals.frames += outcome.frames;
    totals.bytes += outcome.bytes;
    totals.seconds += outcome.time / 1e6;
  }
  return totals;
}

/** Runs a world again and says what happened in it. */
export function retell(seed: number, options: WorldOptions, lines: number): string {
  const world = new World(seed, { ...options, story: lines });
  const { failure } = world.run();
  return `seed ${seed}: ${failure ?? "passed"}\n${world.tell()}`;
}

function wholeNumber(name: string, text: string, least: number): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`Option --${name} is "${text}"; give a whole number from ${least}`);
  }
  return value;
}

function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      seed: { type: "string", default: "1" },
      runs: { type: "string", default: "100" },
      connections: { type: "string" },
      pcapng: { type: "string" },
      story: { type: "string", default: String(STORY) },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return 0;
  }
  const seed = wholeNumber("seed", values.seed, 0), runs = wholeNumber("runs", values.runs, 1);
  const story = wholeNumber("story", values.story, 0);
  const options: WorldOptions = values.connections === undefined
    ? {}
    : { connections: wholeNumber("connections", values.connections, 1) };
  let captured: number | null = runs === 1 ? seed : null;
  const start = performance.now();
  const totals = simulate(seed, runs, options, (outcome) => {
    captured ??= outcome.seed;
    console.log(`\nFAIL ${retell(outcome.seed, options, story)}\n`);
    const extra = options.connections === undefined ? "" : ` --connections ${options.connections}`;
    console.log(`Replay it with: deno task simulate --seed ${outcome.seed} --runs 1${extra}`);
  });
  const elapsed = (performance.now() - start) / 1000;
  if (values.pcapng !== undefined && captured !== null) {
    const file = new CaptureFile(values.pcapng);
    new World(captured, { ...options, onFrame: (frame, time) => file.add(frame, time) }).run();
    file.close();
    console.log(`Wrote ${file.frames} frames of seed ${captured} to "${values.pcapng}"`);
  }
  console.log(
    `${totals.connections} connections (${totals.unconnected} not established), ${totals.frames} frames, ` +
      `${(totals.bytes / 1e6).toFixed(1)} MB, ${totals.seconds.toFixed(0)} virtual seconds in ${
        elapsed.toFixed(1)
      } s: ${(totals.connections / elapsed).toFixed(0)} connections/s`,
  );
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exitCode = main(Deno.args);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    Deno.exitCode = 1;
  }
}
