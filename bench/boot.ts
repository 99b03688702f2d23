/**
 * The time from power-on to the first HTTP answer of the demo's guest, beside what cannot be helped: the same kernel's
 * start of a static program, and Deno's start of an empty one. All of them under software emulation, which is the same
 * everywhere, in turn, the next round in the other order.
 *
 * @module
 */

import { join } from "node:path";
import { build, COMMAND_LINE } from "../image/build.ts";
import { DEFAULT_CONFIG } from "../image/config.ts";
import { characterDevice, file, writeCpio } from "../image/cpio.ts";
import { QEMU, qemuArguments } from "../image/qemu.ts";
import { DEFAULT_MEMORY, DEFAULT_PROCESSORS } from "../image/run.ts";
import { ensureCommands } from "../scripts/system_packages.ts";
import { STATIC_LINE, staticInit } from "./static_init.ts";
import { median } from "./statistics.ts";

/** What is started. */
interface Subject {
  readonly title: string;
  /** Directory of kernel and initramfs. */
  readonly image: string;
  readonly commandLine: string;
  /** The line of the console that ends it; null for the first HTTP answer. */
  readonly line: string | null;
}

/** Longest time of one start, in ms. */
const PATIENCE = 120_000;
/** ms between two attempts to get an answer. */
const PAUSE = 10;

/**
 * Measures `rounds` starts of each.
 * @returns Medians in ms, by what was measured, and the ratio of the two ends.
 * @throws {Error} When a guest does not come up.
 */
export async function measureBoot(rounds: number): Promise<Record<string, number>> {
  await ensureCommands(["qemu-system-x86_64"]);
  const directory = await Deno.makeTempDir({ prefix: "ethox-boot-" });
  try {
    const subjects = await prepare(directory);
    const times = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
    const stages = new Map<string, number[]>();
    for (let round = 0; round < rounds; round++) {
      for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
        const { milliseconds, lines } = await start(subject);
        console.log(`boot ${subject.title}: ${milliseconds.toFixed(0)} ms`);
        times.get(subject)!.push(milliseconds);
        if (subject.line === null) readStages(lines, stages);
      }
    }
    const [least, deno, answer] = subjects.map((subject) => median(times.get(subject)!)) as [
      number,
      number,
      number,
    ];
    const report: Record<string, number> = {};
    for (const subject of subjects) report[`${subject.title}, ms`] = median(times.get(subject)!);
    report["Deno's own start (the second less the first), ms"] = deno - least;
    report["HTTP answer, multiple of kernel and Deno"] = answer / deno;
    for (const [text, values] of stages) report[`stage: ${text}, ms of uptime`] = median(values);
    return report;
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

/** Builds the three images. */
async function prepare(directory: string): Promise<Subject[]> {
  const image = async (name: string, program: string, args: readonly string[]) => {
    const out = join(directory, name);
    const config = { ...DEFAULT_CONFIG, args };
    const path = join(import.meta.dirname!, program);
    await build({ program: path, out, config, level: 0, print: () => {} });
    return out;
  };
  const http = await image("http", "../examples/http_echo.ts", ["--probe", "off"]);
  const empty = await image("empty", "boot_empty.ts", []);
  const least = join(directory, "static");
  await Deno.mkdir(least);
  await Deno.copyFile(join(http, "vmlinuz"), join(least, "vmlinuz"));
  const archive = writeCpio([file("init", staticInit(), 0o755), characterDevice("dev/console", 5, 1)]);
  await Deno.writeFile(join(least, "initramfs.img"), archive);
  return [
    {
      title: "Kernel and a static /init, to its line",
      image: least,
      commandLine: COMMAND_LINE.slice(0, COMMAND_LINE.indexOf(" --")).replace("rdinit=/bin/deno ", ""),
      line: STATIC_LINE,
    },
    {
      title: "Kernel and Deno with an empty program, to its line",
      image: empty,
      commandLine: COMMAND_LINE.replace(/ --preload=\S+/, ""),
      line: "Deno has started",
    },
    {
      title: "The demo's guest, to its first HTTP answer",
      image: http,
      commandLine: COMMAND_LINE,
      line: null,
    },
  ];
}

/** Starts one guest, and ends it as soon as it has done what is waited for. */
async function start(subject: Subject): Promise<{ milliseconds: number; lines: string[] }> {
  const port = freePort();
  const args = qemuArguments({
    kernel: join(subject.image, "vmlinuz"),
    initramfs: join(subject.image, "initramfs.img"),
    commandLine: subject.commandLine,
    memory: DEFAULT_MEMORY,
    processors: DEFAULT_PROCESSORS,
    accelerator: "tcg",
    network: { kind: "user", forwards: [{ protocol: "tcp", host: port, guest: 80 }] },
    config: DEFAULT_CONFIG,
    handOver: false,
    capture: "",
    extra: [],
  });
  const began = performance.now();
  await using process = new Deno.Command(QEMU, { args, stdin: "null", stdout: "piped", stderr: "null" })
    .spawn();
  const ended = new AbortController();
  const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(PATIENCE)]);
  let text = "";
  let milliseconds = NaN;
  const end = () => {
    if (signal.aborted) return;
    milliseconds = performance.now() - began;
    ended.abort();
  };
  signal.addEventListener("abort", () => {
    try {
      process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  });
  let asking: Promise<unknown> | null = null;
  for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    if (subject.line !== null) {
      if (text.includes(subject.line)) end();
    } else if (asking === null && /^Listening on http:..[0-9]/m.test(text)) {
      // Before that, QEMU would try to reach the guest, and again only after seconds.
      asking = ask(port, signal).then((answered) => answered && end());
    }
  }
  ended.abort();
  await asking;
  if (Number.isNaN(milliseconds)) throw new Error(`The guest did not come up:\n${text}`);
  return { milliseconds, lines: text.split(/\r*\n/) };
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Makes request after request, side by side, until one is answered. @returns False when `signal` comes first. */
async function ask(port: number, signal: AbortSignal): Promise<boolean> {
  const request = new TextEncoder().encode("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  let answered = false;
  const once = async () => {
    try {
      using connection = await Deno.connect({ hostname: "127.0.0.1", port, signal });
      const close = () => connection.close();
      signal.addEventListener("abort", close);
      await connection.write(request);
      const bytes = new Uint8Array(12);
      const count = await connection.read(bytes);
      signal.removeEventListener("abort", close);
      if (new TextDecoder().decode(bytes.subarray(0, count ?? 0)) === "HTTP/1.1 200") answered = true;
    } catch {
      // Nobody listens yet.
    }
  };
  const pending = new Set<Promise<void>>();
  while (!answered && !signal.aborted) {
    if (pending.size < 64) {
      const attempt = once().finally(() => pending.delete(attempt));
      pending.add(attempt);
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
  return answered;
}

/** Takes the lines that process 1 prints: `[ethox]  1234 ms  text`. */
function readStages(lines: readonly string[], stages: Map<string, number[]>): void {
  for (const line of lines) {
    const [, time, text] = /^\[ethox\] +([0-9]+) ms {2}([^:;]+)/.exec(line) ?? [];
    if (time === undefined || text === undefined) continue;
    const values = stages.get(text) ?? [];
    values.push(Number(time));
    stages.set(text, values);
  }
}
