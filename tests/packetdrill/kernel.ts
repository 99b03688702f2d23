/**
 * Runs scripts against the machine's own kernel: each in a process and a network namespace of its own, which end with it.
 *
 * @module
 */

import { runFile, verdictText } from "./runner/file_runner.ts";
import type { MakeSystem } from "./runner/run.ts";
import { Caller, KernelSystem } from "./runner/linux/system.ts";

/** Least tolerance in real time, in µs. */
const TOLERANCE = 30_000;
/** Scripts that run at the same time: most of their time they wait. */
const SIDE_BY_SIDE = 6;
/** Longest run of one script, in ms. */
const LIMIT = 150_000;

/** Runs first, so that nothing that a script does is done for the first time: that takes milliseconds. */
const WARM_UP = `
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000 <mss 1000,sackOK,nop,wscale 7>
* > S. 0:0(0) ack 1 <...>
+.02 < . 1:1(0) ack 1 win 1000 
+.02 accept(3, ..., ...) = 4
+.01 write(4, ..., 10) = 10
* > P. 1:11(10) ack 1 <...>
+.01 < P. 1:11(10) ack 11 win 1000 
* > . 11:11(0) ack 11 <...>
+.01 read(4, ..., 100) = 10
+0...+.02 read(4, ..., 100) = 10
+.02 < P. 11:21(10) ack 11 win 1000 
* > . 11:11(0) ack 21 <...>
+.01 %{ assert tcpi_snd_cwnd > 0 }%
+0 setsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}, 8) = 0
+0 close(4) = 0
* > R. 11:11(0) ack 21 <...>
+0 close(3) = 0
+0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
+0 connect(3, ..., ...) = -1 EINPROGRESS
* > S 0:0(0) <...>
+.01 < R. 0:0(0) ack 1 win 0
`;

/** What a run printed and whether it passed. */
interface Outcome {
  passed: boolean;
  text: string;
}

/**
 * Runs files side by side, and prints their verdicts in order.
 * @param args Options of the command line. @returns How many failed.
 */
export async function runOnKernel(files: readonly string[], args: readonly string[]): Promise<number> {
  const outcomes: Promise<Outcome>[] = [];
  const running = new Set<Promise<Outcome>>();
  let failed = 0, printed = 0;
  const print = async () => {
    const { passed, text } = await outcomes[printed++]!;
    if (!passed) failed++;
    console.log(text);
  };
  for (const file of files) {
    while (running.size >= SIDE_BY_SIDE) await Promise.race(running);
    const outcome = runApart(file, args);
    outcomes.push(outcome);
    running.add(outcome);
    outcome.finally(() => running.delete(outcome));
  }
  while (printed < outcomes.length) await print();
  return failed;
}

async function runApart(file: string, args: readonly string[]): Promise<Outcome> {
  const process = new Deno.Command("unshare", {
    args: [
      "-n",
      "nice",
      "-n",
      "-10",
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "-q",
      import.meta.url,
      file,
      ...args,
    ],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const timer = setTimeout(() => process.kill("SIGKILL"), LIMIT);
  try {
    const { code, stdout } = await process.output();
    const text = new TextDecoder().decode(stdout).trimEnd();
    return {
      passed: code === 0,
      text: text === "" ? `FAIL ${file}:1: No verdict (exit status ${code})` : text,
    };
  } finally {
    clearTimeout(timer);
  }
}

if (import.meta.main) {
  const [file, ...args] = Deno.args;
  const options: [string, string][] = [];
  for (const arg of args) {
    const option = /^--([A-Za-z_][\w-]*)(?:=(.*))?$/s.exec(arg);
    if (option !== null) options.push([option[1]!, option[2] ?? ""]);
  }
  if (!options.some(([name]) => name === "tolerance_usecs")) {
    options.push(["tolerance_usecs", String(TOLERANCE)]);
  }
  const caller = await Caller.start();
  let latest = 0;
  const make: MakeSystem = (settings, watcher) =>
    new KernelSystem(settings, watcher, caller, (late) => latest = Math.max(latest, late));
  const silent = { print() {}, warn() {} };
  const tolerant: [string, string][] = [["tolerance_usecs", "1000000"]];
  for (let i = 0; i < 2; i++) {
    const { failure } = runFile("the warm-up", tolerant, () => WARM_UP, silent, make);
    if (failure !== null) console.error(`Warning: ${verdictText({ file: "the warm-up", failure })}`);
  }
  latest = 0;
  const verdict = runFile(file!, options, (name) => Deno.readTextFileSync(name), {
    print: (line) => console.log(line),
    warn: (message) => console.error(`Warning: ${message}`),
  }, make);
  if (options.some(([name]) => name === "record") && latest > 3000) console.log(`LATE ${latest}`);
  console.log(verdictText(verdict));
  // The thread of system calls may wait for ever in one.
  Deno.exit(verdict.failure === null ? 0 : 1);
}
