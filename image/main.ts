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
import { command, DEFAULT_MEMORY, DEFAULT_PROCESSORS, Guest, type RunOptions } from "./run.ts";

const USAGE = `Usage:
  deno task image build APP.ts -o DIRECTORY [--compress zstd:N|none] [--kernel-network] [CONFIGURATION]
  deno task image run DIRECTORY [--net user|none|tap:NAME|socket:PATH] [--forward tcp:HOST:GUEST]...
                  [--memory MIB] [--cpus N] [--accel auto|kvm|tcg] [--capture FILE] [--qemu ARGUMENT]... [--dry-run]
                  [CONFIGURATION]
  deno task image configure DIRECTORY [CONFIGURATION]
  deno task image inspect DIRECTORY

build: packs a program, Deno and a kernel into DIRECTORY
  -o, --output DIRECTORY     where to write the image
  --compress zstd:N|none     N from 1 to 22 (zstd:3); none boots fastest and is the largest, zstd:19 is the smallest that
                             is quick enough to make
  --kernel-network           the guest's kernel drives the network card, for programs on Deno's own sockets

run: boots an image in QEMU, with its console here; Ctrl-C ends it, and the program's exit status is the command's
  --net user                 QEMU's own network, which needs no privilege (the default)
  --net tap:NAME             a TAP device of this machine
  --net socket:PATH          the program that listens on this UNIX socket
  --net none                 no network card
  --forward tcp:HOST:GUEST   a port of this machine that leads to one of the guest; udp as well; may be repeated
  --memory MIB               memory of the guest (${DEFAULT_MEMORY})
  --cpus N                   processors of the guest (${DEFAULT_PROCESSORS})
  --accel auto|kvm|tcg       how the guest's processor is made (auto: KVM where it works, else emulation)
  --capture FILE             writes every frame that passes to FILE (pcap)
  --qemu ARGUMENT            one more argument for QEMU; may be repeated; write --qemu=-ARGUMENT for one with a hyphen
  --dry-run                  prints QEMU's command line instead of running it

configure: changes what an image tells its guest, without a build
inspect: checks an image and lists what is in it

CONFIGURATION, what the guest is told; with run it holds for that run
  --config FILE              JSON with any of the fields device, addresses, gateway, hostname, mac, args
  --device virtio:auto       the --device argument of the program
  --address CIDR             an address, as 10.0.2.15/24; may be repeated; without any the guest asks the network
  --gateway IP               the router to other networks
  --hostname NAME            what the link calls the guest: NAME.local
  --mac MAC                  link address of the network card, as 52:54:00:12:34:56
  --no-network               the program gets no network arguments
  -- ARGUMENT...             arguments of the program`;

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

/** The options of `build`. */
export const BUILD = {
  ...CONFIGURATION,
  "output": { type: "string", short: "o" },
  "compress": { type: "string", default: "zstd:3" },
  "kernel-network": { type: "boolean", default: false },
} as const satisfies ParseArgsConfig["options"];

/** The options of `run`. */
export const RUN = {
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
  if (positionals.length !== 1) {
    throw new ImageError(`Give one ${what}, not ${positionals.length}; --help tells more`);
  }
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
  if (config === null) {
    throw new ImageError(`Nothing to change: give a configuration option; --help lists them`);
  }
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
  // What follows "--" is the program's.
  if (split(rest)[0].some((argument) => argument === "--help" || argument === "-h")) {
    console.log(USAGE);
    return 0;
  }
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
      case undefined:
        console.error(USAGE);
        return 2;
      default:
        console.error(
          `error: Unknown command "${verb}": use build, run, configure or inspect (--help tells more)`,
        );
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
