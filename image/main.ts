/**
 * The command `deno task image`.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { build } from "./build.ts";
import { DEFAULT_CONFIG, type GuestConfig, InvalidConfig, KERNEL_CONFIG, parseConfig } from "./config.ts";
import { configure } from "./configure.ts";
import { ImageError } from "./errors.ts";
import { inspect } from "./inspect.ts";
import { readManifest } from "./manifest.ts";
import { parseForward, parseNetwork, shellLine } from "./qemu.ts";
import { command, Guest, type RunOptions } from "./run.ts";

const USAGE = `Usage:
  deno task image build APP.ts -o DIRECTORY [--compress zstd:N|none] [--kernel-network] [CONFIGURATION]
  deno task image run DIRECTORY [--net user|none|tap:NAME|socket:PATH] [--forward tcp:HOST:GUEST]...
                  [--memory MIB] [--cpus N] [--accel auto|kvm|tcg] [--capture FILE] [--qemu ARGUMENT]... [--dry-run]
                  [CONFIGURATION]
  deno task image configure DIRECTORY [CONFIGURATION]
  deno task image inspect DIRECTORY

CONFIGURATION, what the guest is told: [--config FILE] [--device virtio:auto] [--address CIDR]...
  [--gateway IP] [--hostname NAME] [--mac MAC] [--no-network] [-- APP-ARGUMENT...]`;

/** The options that every command with a configuration takes. */
const CONFIGURATION = {
  "config": { type: "string" },
  "device": { type: "string" },
  "address": { type: "string", multiple: true },
  "gateway": { type: "string" },
  "hostname": { type: "string" },
  "mac": { type: "string" },
  "no-network": { type: "boolean" },
} as const satisfies ParseArgsConfig["options"];

const BUILD = {
  ...CONFIGURATION,
  "output": { type: "string", short: "o" },
  "compress": { type: "string", default: "zstd:3" },
  "kernel-network": { type: "boolean", default: false },
} as const satisfies ParseArgsConfig["options"];

const RUN = {
  ...CONFIGURATION,
  "net": { type: "string", default: "user" },
  "forward": { type: "string", multiple: true },
  "memory": { type: "string" },
  "cpus": { type: "string" },
  "accel": { type: "string", default: "auto" },
  "capture": { type: "string" },
  "qemu": { type: "string", multiple: true },
  "dry-run": { type: "boolean" },
} as const satisfies ParseArgsConfig["options"];

interface ConfigurationValues {
  config?: string;
  device?: string;
  address?: string[];
  gateway?: string;
  hostname?: string;
  mac?: string;
  "no-network"?: boolean;
}

/**
 * Makes a configuration of a command's options.
 * @param base What holds where the options say nothing.
 * @param args What follows `--`.
 * @returns null when the options say nothing at all.
 * @throws {InvalidConfig} When a value can't be used. @throws {ImageError} When the file can't be read.
 */
export async function configuration(
  values: ConfigurationValues,
  base: GuestConfig,
  args: readonly string[],
): Promise<GuestConfig | null> {
  let config = base;
  let said = false;
  if (values.config !== undefined) {
    let text: string;
    try {
      text = await Deno.readTextFile(values.config);
    } catch (error) {
      throw new ImageError(`Cannot read the configuration "${values.config}": ${(error as Error).message}`);
    }
    try {
      config = parseConfig(JSON.parse(text), config);
    } catch (error) {
      throw new InvalidConfig(`In "${values.config}": ${(error as Error).message}`);
    }
    said = true;
  }
  const changes: Record<string, unknown> = {};
  if (values.device !== undefined) changes.device = values.device;
  if (values.address !== undefined) changes.addresses = values.address;
  if (values.gateway !== undefined) changes.gateway = values.gateway;
  if (values.hostname !== undefined) changes.hostname = values.hostname;
  if (values.mac !== undefined) changes.mac = values.mac;
  if (values["no-network"]) changes.device = "";
  if (args.length !== 0) changes.args = args;
  if (Object.keys(changes).length !== 0) {
    config = parseConfig(changes, config);
    said = true;
  }
  return said ? config : null;
}

/**
 * Parses `none` or `zstd:N`.
 * @returns The level, 0 for none. @throws {ImageError} When `text` has another form.
 */
export function parseCompression(text: string): number {
  const level = text === "none" ? 0 : Number(/^zstd:([0-9]{1,2})$/.exec(text)?.[1] ?? NaN);
  if (text !== "none" && !(level >= 1 && level <= 22)) {
    throw new ImageError(`Cannot parse the compression "${text}": write none, or zstd:N with N from 1 to 22`);
  }
  return level;
}

/** Splits the arguments at `--`: ours, and the program's. */
function split(args: readonly string[]): [own: string[], program: string[]] {
  const at = args.indexOf("--");
  return at < 0 ? [[...args], []] : [args.slice(0, at), args.slice(at + 1)];
}

function one(positionals: string[], what: string): string {
  if (positionals.length !== 1) throw new ImageError(`Give one ${what}, not ${positionals.length}\n${USAGE}`);
  return positionals[0]!;
}

async function buildCommand(args: string[]): Promise<number> {
  const [own, program] = split(args);
  const { values, positionals } = parseArgs({ args: own, options: BUILD, allowPositionals: true });
  const entry = one(positionals, "program");
  if (values.output === undefined) throw new ImageError(`Say where the image goes with -o DIRECTORY`);
  const kernelNetwork = values["kernel-network"];
  const base = kernelNetwork ? KERNEL_CONFIG : DEFAULT_CONFIG;
  await build({
    program: entry,
    out: values.output,
    config: await configuration(values, base, program) ?? base,
    kernelNetwork,
    level: parseCompression(values.compress),
    print: (line) => console.log(line),
  });
  console.log(`\nRun it with: deno task image run ${values.output} --forward tcp:8080:80`);
  return 0;
}

function whole(text: string | undefined, option: string, most: number): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!/^[0-9]+$/.test(text) || number < 1 || number > most) {
    throw new ImageError(`Option ${option} must be a whole number from 1 to ${most}, got "${text}"`);
  }
  return number;
}

/** Runs a guest until it ends, or until a signal ends it. @returns Its exit status; 130 and 143 after a signal. */
export async function attend(guest: Guest): Promise<number> {
  let signalled = 0;
  const listeners = ([["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const).map(
    ([signal, status]) => {
      const listener = () => {
        signalled = status;
        void guest.stop();
      };
      Deno.addSignalListener(signal, listener);
      return [signal, listener] as const;
    },
  );
  try {
    const status = await guest.status;
    return signalled === 0 ? status : signalled;
  } finally {
    for (const [signal, listener] of listeners) Deno.removeSignalListener(signal, listener);
    await guest.stop();
  }
}

async function runCommand(args: string[]): Promise<number> {
  const [own, program] = split(args);
  const { values, positionals } = parseArgs({ args: own, options: RUN, allowPositionals: true });
  const image = one(positionals, "image directory");
  const manifest = await readManifest(image);
  const config = await configuration(values, manifest.config, program);
  const accelerator = values.accel;
  if (accelerator !== "auto" && accelerator !== "kvm" && accelerator !== "tcg") {
    throw new ImageError(`Option --accel must be auto, kvm or tcg, got "${accelerator}"`);
  }
  const forwards = (values.forward ?? []).map(parseForward);
  const memory = whole(values.memory, "--memory", 1_048_576);
  const processors = whole(values.cpus, "--cpus", 255);
  const options: RunOptions = {
    image,
    network: parseNetwork(values.net, forwards),
    accelerator,
    ...(config === null ? {} : { config }),
    ...(memory === undefined ? {} : { memory }),
    ...(processors === undefined ? {} : { processors }),
    ...(values.capture === undefined ? {} : { capture: values.capture }),
    ...(values.qemu === undefined ? {} : { extra: values.qemu }),
    console: (line) => console.log(line),
  };
  if (values["dry-run"]) {
    console.log(shellLine(await command(options)));
    return 0;
  }
  return await attend(await Guest.start(options));
}

async function configureCommand(args: string[]): Promise<number> {
  const [own, program] = split(args);
  const { values, positionals } = parseArgs({ args: own, options: CONFIGURATION, allowPositionals: true });
  const image = one(positionals, "image directory");
  const manifest = await readManifest(image);
  const config = await configuration(values, manifest.config, program);
  if (config === null) throw new ImageError(`Nothing to change: give a configuration option\n${USAGE}`);
  console.log(JSON.stringify((await configure(image, config)).config));
  return 0;
}

async function inspectCommand(args: string[]): Promise<number> {
  const { positionals } = parseArgs({ args, options: {}, allowPositionals: true });
  for (const line of await inspect(one(positionals, "image directory"))) console.log(line);
  return 0;
}

/**
 * Runs the command.
 * @returns The exit status: that of the guest for `run`, 1 after an error (one line on the standard error).
 */
export async function main(args: string[]): Promise<number> {
  const [verb, ...rest] = args;
  try {
    switch (verb) {
      case "build":
        return await buildCommand(rest);
      case "run":
        return await runCommand(rest);
      case "configure":
        return await configureCommand(rest);
      case "inspect":
        return await inspectCommand(rest);
      case "help":
      case "--help":
      case "-h":
        console.log(USAGE);
        return 0;
      default:
        console.error(USAGE);
        return 2;
    }
  } catch (error) {
    if (isForUser(error)) {
      console.error(`error: ${error.message.replaceAll("\n", " ")}`);
      return 1;
    }
    throw error;
  }
}

/** Errors whose message says all: ours, and those of the option parser (a TypeError with a code). */
export function isForUser(error: unknown): error is Error {
  return error instanceof ImageError || error instanceof InvalidConfig ||
    error instanceof TypeError && String((error as { code?: unknown }).code).startsWith("ERR_PARSE_ARGS");
}

if (import.meta.main) Deno.exit(await main(Deno.args));
