/**
 * The command `deno task demo`: installs what is missing, builds the image of an HTTP server, boots it in QEMU and
 * prints its URL as soon as it answers.
 *
 * @module
 */

import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { accelerator } from "../image/accelerator.ts";
import { build, COMMAND_LINE } from "../image/build.ts";
import { DEFAULT_CONFIG, type GuestConfig } from "../image/config.ts";
import { ImageError } from "../image/errors.ts";
import { attend, isForUser } from "../image/main.ts";
import { type Accelerator, type Network, QEMU, qemuArguments, shellLine } from "../image/qemu.ts";
import { checkNetwork, DEFAULT_MEMORY, DEFAULT_PROCESSORS, Guest } from "../image/run.ts";
import {
  type Command,
  completePath,
  ensureCommands,
  hasCommand,
  MissingPackages,
  PACKAGES,
} from "./system_packages.ts";

const USAGE = `Usage: deno task demo [--port N] [--dry-run] [--accel auto|kvm|tcg] [--exit-after SECONDS]

  --port N              port of this machine that leads to the guest's port 80 (8080)
  --dry-run             print the commands, QEMU's as well, and run none
  --accel auto|kvm|tcg  how the guest's processor is made (auto: KVM where it works)
  --exit-after SECONDS  end the guest this long after it has answered`;

const COMMANDS: readonly Command[] = ["qemu-system-x86_64"];
/** What the guest is told. Nobody else is on QEMU's user network, so nobody is asked whether an address is free. */
const CONFIG: GuestConfig = { ...DEFAULT_CONFIG, args: ["--probe", "off"] };
/** The port that the program listens on. */
const GUEST_PORT = 80;
/** Longest time until the guest answers, in ms. On a busy machine without KVM it takes 10 s. */
const PATIENCE = 180_000;

/** What the command line says. */
export interface DemoOptions {
  /** Port of the host. */
  readonly port: number;
  /** Whether to print the commands only. */
  readonly dryRun: boolean;
  /** How the processor is made. */
  readonly accelerator: Accelerator | "auto";
  /** Seconds from the first answer to the end; null to stay. */
  readonly exitAfter: number | null;
  /** Whether to print the usage. */
  readonly help: boolean;
}

/**
 * Reads the command line.
 * @throws {ImageError} When a value can't be used.
 */
export function parseDemo(args: string[]): DemoOptions {
  const { values } = parseArgs({
    args,
    options: {
      "port": { type: "string", default: "8080" },
      "dry-run": { type: "boolean", default: false },
      "accel": { type: "string", default: "auto" },
      "exit-after": { type: "string" },
      "help": { type: "boolean", short: "h", default: false },
    },
  });
  const port = Number(values.port);
  if (!/^[0-9]+$/.test(values.port) || port < 1 || port > 65535) {
    throw new ImageError(`Option --port must be a whole number from 1 to 65535, got "${values.port}"`);
  }
  const accelerator = values.accel;
  if (accelerator !== "auto" && accelerator !== "kvm" && accelerator !== "tcg") {
    throw new ImageError(`Option --accel must be auto, kvm or tcg, got "${accelerator}"`);
  }
  const text = values["exit-after"];
  if (text !== undefined && !/^[0-9]+(\.[0-9]+)?$/.test(text)) {
    throw new ImageError(`Option --exit-after must be a number of seconds, got "${text}"`);
  }
  return {
    port,
    dryRun: values["dry-run"],
    accelerator,
    exitAfter: text === undefined ? null : Number(text),
    help: values.help,
  };
}

const root = join(import.meta.dirname!, "..");
const program = join(root, "examples/http_echo.ts");
const image = join(root, "build/demo");

function networkOf(options: DemoOptions): Network {
  return { kind: "user", forwards: [{ protocol: "tcp", host: options.port, guest: GUEST_PORT }] };
}

/** @returns The commands that a demo runs, each a line for a shell. */
export async function commands(options: DemoOptions): Promise<string[]> {
  completePath();
  const lines: string[] = [];
  for (const command of COMMANDS) {
    if (!await hasCommand(command)) {
      lines.push(`apt-get install -y --no-install-recommends ${PACKAGES[command]}`);
    }
  }
  const [source, target] = [program, image].map((path) => relative(Deno.cwd(), path) || ".") as [
    string,
    string,
  ];
  lines.push(
    shellLine([
      "deno",
      "task",
      "image",
      "build",
      source,
      "-o",
      target,
      "--compress",
      "none",
      "--",
      ...CONFIG.args,
    ]),
  );
  // Without QEMU there is no telling whether KVM works.
  const choice = options.accelerator !== "auto"
    ? options.accelerator
    : lines.length > 1
    ? "tcg"
    : await accelerator();
  lines.push(shellLine([
    QEMU,
    ...qemuArguments({
      kernel: join(target, "vmlinuz"),
      initramfs: join(target, "initramfs.img"),
      commandLine: COMMAND_LINE,
      memory: DEFAULT_MEMORY,
      processors: DEFAULT_PROCESSORS,
      accelerator: choice,
      network: networkOf(options),
      config: CONFIG,
      handOver: false,
      capture: "",
      extra: [],
    }),
  ]));
  return lines;
}

/** Asks until the guest answers. @returns False when it does not, or `ended` comes first. */
async function answers(port: number, ended: AbortSignal): Promise<boolean> {
  const asking = new AbortController();
  const signal = AbortSignal.any([ended, asking.signal, AbortSignal.timeout(PATIENCE)]);
  let answered = false;
  const pending = new Set<Promise<void>>();
  // One after the other would lose seconds with a request that came too early: it waits for retransmissions.
  while (!signal.aborted) {
    const request = ask(port, signal).then((answer) => {
      pending.delete(request);
      if (!answer) return;
      answered = true;
      asking.abort();
    });
    pending.add(request);
    const pause = delay(pending.size < 16 ? 250 : 2000, signal);
    await pause;
  }
  await Promise.all(pending);
  return answered;
}

/** Resolves after `milliseconds`, or when `signal` is aborted. */
function delay(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });
}

/** Makes one request, without `fetch`, which may be set up to go by a proxy. @returns Whether there is an answer. */
async function ask(port: number, signal: AbortSignal): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port, signal });
    const close = () => connection.close();
    signal.addEventListener("abort", close);
    try {
      const request =
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
      await connection.write(new TextEncoder().encode(request));
      const bytes = new Uint8Array(12);
      let length = 0;
      // QEMU accepts connections before anybody in the guest does, and closes them later.
      while (length < bytes.length) {
        const count = await connection.read(bytes.subarray(length));
        if (count === null) return false;
        length += count;
      }
      return new TextDecoder().decode(bytes) === "HTTP/1.1 200";
    } finally {
      signal.removeEventListener("abort", close);
    }
  } catch {
    return false;
  }
}

async function demo(options: DemoOptions): Promise<number> {
  const started = performance.now();
  await ensureCommands(COMMANDS);
  const network = networkOf(options);
  // Said before the work rather than after it.
  await checkNetwork(network);
  console.log(`Building an image of ${relative(Deno.cwd(), program)}`);
  await build({
    program: relative(Deno.cwd(), program),
    out: relative(Deno.cwd(), image),
    config: CONFIG,
    level: 0,
    print: (line) => console.log(`  ${line}`),
  });
  console.log("Starting it in QEMU");
  const running = Promise.withResolvers<void>();
  const guest = await Guest.start({
    image,
    accelerator: options.accelerator,
    network,
    console: (line) => {
      console.log(`  ${line}`);
      // Before that, QEMU would try to reach the guest, and again only after seconds.
      if (/^Listening on http:..[0-9]/.test(line)) running.resolve();
    },
  });
  const attended = attend(guest);
  const url = `http://127.0.0.1:${options.port}/`;
  const ended = new AbortController();
  void attended.catch(() => {}).then(() => running.resolve());
  const waiting = running.promise.then(() => announce(url, options, guest, started, ended.signal));
  let status: number;
  try {
    status = await attended;
  } finally {
    ended.abort();
  }
  return await waiting ?? status;
}

/**
 * Prints the URL once it answers, and ends the guest when it is time to.
 * @returns The command's exit status, or null when that is the guest's.
 */
async function announce(
  url: string,
  options: DemoOptions,
  guest: Guest,
  started: number,
  ended: AbortSignal,
): Promise<number | null> {
  if (!await answers(options.port, ended)) {
    if (ended.aborted) return null;
    console.error(`error: ${url} does not answer after ${PATIENCE / 1000} s`);
    await guest.stop();
    return 1;
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`\n${url} answers, ${seconds} s after the start. Try:`);
  console.log(`  curl --data-binary @FILE ${url}`);
  console.log(options.exitAfter === null ? "Ctrl-C ends it.\n" : `It ends in ${options.exitAfter} s.\n`);
  if (options.exitAfter === null) return null;
  await delay(options.exitAfter * 1000, ended);
  if (ended.aborted) return null;
  await guest.stop();
  return 0;
}

async function main(args: string[]): Promise<number> {
  try {
    const options = parseDemo(args);
    if (options.help) console.log(USAGE);
    else if (options.dryRun) { for (const line of await commands(options)) console.log(line); }
    else return await demo(options);
    return 0;
  } catch (error) {
    if (!isForUser(error) && !(error instanceof MissingPackages)) throw error;
    console.error(`error: ${error.message}`);
    return 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
