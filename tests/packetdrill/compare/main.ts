/**
 * `deno task packetdrill:compare SUBJECT [--seed N] [--runs M] [--keep DIRECTORY]`: makes random scripts of a subject, has
 * the machine's own kernel run them, in real time, and then this stack, with the same inputs at the same moments.
 *
 * Prints the first difference of each script, then how many were the same. A seed makes the same script again. What the
 * kernel did is kept as `SUBJECT_SEED.want.pkt`, which is a script for `deno task packetdrill`. Needs root. Runs in which
 * the machine was too busy to be on time are made again, and given up after three times. What differs is run by the kernel
 * twice more: where it does not do the same again, the script tells nothing, unless we do what it did in one of them.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runFile, verdictText } from "../runner/file_runner.ts";
import { makeReceiver } from "./receiver.ts";
import { START } from "../runner/link.ts";
import { StackSystem } from "../runner/stack_system.ts";
import { holdTimers } from "./late_timers.ts";
import { separate } from "./record.ts";
import { assertion, INFO, Random } from "./script.ts";
import { makeCloser } from "./closer.ts";
import { makeGrower } from "./grower.ts";
import { makeKeeper } from "./keeper.ts";
import { makeMarker } from "./marker.ts";
import { makeStranger } from "./stranger.ts";
import { makeSender } from "./sender.ts";
import { makeWriter } from "./writer.ts";

/** What there are scripts of. */
const SUBJECTS: Record<string, (random: Random) => string> = {
  sender: makeSender,
  receiver: makeReceiver,
  writer: makeWriter,
  closer: makeCloser,
  stranger: makeStranger,
  marker: makeMarker,
  keeper: makeKeeper,
  grower: makeGrower,
};
/** Scripts at the same time: most of theirs they wait. */
const SIDE_BY_SIDE = 5;
/** Runs of a script before the machine is held for too busy. */
const MOST_RUNS = 3;
/** Runs of a script by the kernel where it differs from ours. */
const KERNEL_RUNS = 3;
/** The kernel's timers are coarse. */
const TOLERANCE: [string, string][] = [["tolerance_usecs", "30000"], ["tolerance_percent", "13"]];

/** Turns the kernel's recording into a script that says what has to happen. */
function expectation(recording: string[], printed: string[]): string {
  const asked = printed.values();
  const lines: string[] = ["--tolerance_usecs=30000", "--tolerance_percent=13"];
  for (const line of recording) {
    if (/^(?:PASS|FAIL|LATE) /.test(line)) continue;
    if (line.includes(INFO)) {
      // A connection that is gone tells nothing.
      const values = asked.next().value;
      lines.push(line.replace(INFO, values === undefined ? "%{ }%" : assertion(values)));
    } else {lines.push(
        / > /.test(line) && !/ S\.? /.test(line) ? line.replace(/TS val \d+/, "TS val ...") : line,
      );}
  }
  return lines.join("\n") + "\n";
}

/** Records a script on the kernel. @returns Null when the machine was too busy. */
async function recordKernel(file: string): Promise<string | null> {
  for (let run = 0; run < MOST_RUNS; run++) {
    const kernel = fileURLToPath(new URL("../kernel.ts", import.meta.url));
    const { stdout } = await new Deno.Command("unshare", {
      args: [
        "-n",
        "chrt",
        "--rr",
        "20",
        Deno.execPath(),
        "run",
        "-A",
        "--no-check",
        "-q",
        kernel,
        file,
        "--record=exact",
      ],
      stdout: "piped",
      stderr: "inherit",
    }).output();
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    if (lines.some((line) => line.startsWith("LATE "))) continue;
    const { recording, printed } = separate(lines);
    return expectation(recording, printed);
  }
  return null;
}

/** Runs what the kernel did on this stack. @returns The first difference, or null. */
function differs(file: string, expected: string): string | null {
  const verdict = runFile(
    file,
    TOLERANCE,
    () => expected,
    { print() {}, warn: (message) => console.error(`Warning: ${message}`) },
    (options, watcher) =>
      new StackSystem(options, watcher, (stack) => holdTimers(stack, START, expected.split("\n"))),
  );
  return verdict.failure === null ? null : verdictText(verdict);
}

/** What happened, whenever it did. */
function withoutTimes(expected: string): string {
  return expected.replaceAll(/^ *\+?[\d.]+ /gm, "").replaceAll(/ecr \d+/g, "");
}

/** A verdict without the fields that are as they should be. */
function brief(text: string): string {
  const match = /^(.*?): Assertion "(.*)" \((.*)\) failed$/.exec(text);
  if (match === null) return text;
  const want = new Map(
    Array.from(match[2]!.matchAll(/tcpi_(\w+) == (\d+)/g), (found) => [found[1], found[2]]),
  );
  const wrong = Array.from(match[3]!.matchAll(/tcpi_(\w+) = (\d+)/g))
    .filter(([, name, value]) => want.get(name) !== value);
  return `${match[1]}: ${
    wrong.map(([, name, value]) => `${name} ${want.get(name)} got ${value}`).join(", ")
  }`;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      seed: { type: "string", default: "1" },
      runs: { type: "string", default: "20" },
      keep: { type: "string" },
    },
  });
  const subject = positionals[0] ?? "";
  const make = SUBJECTS[subject];
  if (make === undefined) {
    console.error(
      `Usage: deno task packetdrill:compare ${Object.keys(SUBJECTS).join("|")} [--seed N] [--runs M]`,
    );
    Deno.exit(2);
  }
  const directory = values.keep ?? Deno.makeTempDirSync({ prefix: "compare" });
  Deno.mkdirSync(directory, { recursive: true });
  const seeds = Array.from({ length: Number(values.runs) }, (_, i) => Number(values.seed) + i).values();
  let same = 0, different = 0, late = 0, unsteady = 0;
  const work = async () => {
    for (const seed of seeds) {
      const name = `${directory}/${subject}_${seed}`;
      Deno.writeTextFileSync(`${name}.pkt`, make(new Random(seed)));
      const expectations: string[] = [];
      let failure: string | null = null;
      do {
        const expected = await recordKernel(`${name}.pkt`);
        if (expected === null) break;
        expectations.push(expected);
        Deno.writeTextFileSync(`${name}.want.pkt`, expected);
        failure = differs(`${name}.want.pkt`, expected);
      } while (failure !== null && expectations.length < KERNEL_RUNS);
      if (expectations.length === 0) late++;
      else if (failure === null) same++;
      else if (new Set(expectations.map(withoutTimes)).size > 1) unsteady++;
      else {
        different++;
        console.log(brief(failure));
      }
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, work));
  const untold = `${unsteady} in which the kernel differs from itself, ${late} too late to tell`;
  console.log(`${same} the same, ${different} different, ${untold}; see ${directory}`);
  Deno.exit(different > 0 ? 1 : 0);
}
