/**
 * Starts an image in QEMU and stays until it ends.
 *
 * @module
 */

import { join } from "node:path";
import { accelerator as probe, works } from "./accelerator.ts";
import { find, missing } from "./command.ts";
import type { GuestConfig } from "./config.ts";
import { ImageError } from "./errors.ts";
import { EXIT_MARKER } from "./guest_exit.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { type Accelerator, type Network, QEMU, qemuArguments } from "./qemu.ts";
import { megabytes } from "./stages.ts";

/** What {@link Guest.start} takes. */
export interface RunOptions {
  /** The image's directory. */
  readonly image: string;
  /** What the guest is told, when it is not what the image says. */
  readonly config?: GuestConfig;
  /** The network. */
  readonly network: Network;
  /** `auto` uses KVM where it works. Default `auto`. */
  readonly accelerator?: Accelerator | "auto";
  /** Memory in MiB. Default {@link DEFAULT_MEMORY}. */
  readonly memory?: number;
  /** Processors. Default {@link DEFAULT_PROCESSORS}. */
  readonly processors?: number;
  /** File for every frame that passes (pcap). */
  readonly capture?: string;
  /** More arguments for QEMU: a second network device, for example. */
  readonly extra?: readonly string[];
  /** Takes each line of the console, without its end. */
  readonly console: (line: string) => void;
}

/** Memory of a guest, in MiB. */
export const DEFAULT_MEMORY = 512;

/** Processors of a guest. */
export const DEFAULT_PROCESSORS = 2;

/** What the kernel, Deno's heap and the network device's huge pages need beside the files, in bytes. */
const WORKING_MEMORY = 160 * 2 ** 20;

/** The end of a guest that ended without telling a status: its kernel stopped, or QEMU did. */
export const NO_STATUS = 125;

/**
 * The command that starts a guest.
 * @throws {ImageError} When the image is not there or is too large for the memory.
 */
export async function command(options: RunOptions): Promise<string[]> {
  const manifest = await readManifest(options.image);
  const memory = options.memory ?? DEFAULT_MEMORY;
  checkMemory(manifest, memory);
  const files = ["vmlinuz", "initramfs.img"] as const;
  for (const name of files) {
    const length = await Deno.stat(join(options.image, name)).then((info) => info.size, () => -1);
    if (length !== manifest.files[name].length) {
      throw new ImageError(
        `"${join(options.image, name)}" ${
          length < 0 ? "is missing" : "is not what was built"
        }: build the image again`,
      );
    }
  }
  const choice = options.accelerator ?? "auto";
  return [
    QEMU,
    ...qemuArguments({
      kernel: join(options.image, "vmlinuz"),
      initramfs: join(options.image, "initramfs.img"),
      commandLine: manifest.commandLine,
      memory,
      processors: options.processors ?? DEFAULT_PROCESSORS,
      accelerator: choice === "auto" ? await probe() : choice,
      network: options.network,
      config: options.config ?? manifest.config,
      handOver: options.config !== undefined,
      capture: options.capture ?? "",
      extra: options.extra ?? [],
    }),
  ];
}

/** @throws {ImageError} When the image does not fit. While it is unpacked, both forms are in memory. */
export function checkMemory(manifest: Manifest, memory: number): void {
  const image = manifest.files["initramfs.img"].length;
  const needed = image + manifest.unpackedLength + WORKING_MEMORY;
  if (!Number.isInteger(memory) || memory * 2 ** 20 < needed) {
    throw new ImageError(
      `Image is too large for ${memory} MiB of memory: it unpacks to ${
        megabytes(manifest.unpackedLength)
      }; ` +
        `give it --memory ${Math.ceil(needed / 2 ** 20 / 64) * 64}`,
    );
  }
}

/** A running guest. */
export class Guest {
  readonly #process: Deno.ChildProcess;
  #stopping = false;
  /**
   * Resolves when the guest has ended, with the exit status of its program, or {@link NO_STATUS}.
   */
  readonly status: Promise<number>;

  private constructor(process: Deno.ChildProcess, console: (line: string) => void) {
    this.#process = process;
    this.status = this.#follow(console);
  }

  /**
   * Starts a guest.
   * @throws {ImageError} When something is missing, or a port is in use.
   */
  static async start(options: RunOptions): Promise<Guest> {
    if (await find(QEMU) === null) throw missing(QEMU);
    await checkNetwork(options.network);
    if (options.accelerator === "kvm" && !await works("kvm")) {
      throw new ImageError("KVM does not work on this machine: let it be tcg, or auto");
    }
    const words = [...await tied(), ...await command(options)];
    const process = new Deno.Command(words[0]!, {
      args: words.slice(1),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    return new Guest(process, options.console);
  }

  async #follow(console: (line: string) => void): Promise<number> {
    let status = NO_STATUS;
    let message = "";
    await Promise.all([
      eachLine(this.#process.stdout, (line) => {
        if (line.startsWith(EXIT_MARKER)) status = Number(line.slice(EXIT_MARKER.length)) & 255;
        console(line);
      }),
      eachLine(this.#process.stderr, (line) => {
        if (!line.includes("warning:")) message = line;
      }),
    ]);
    const { code } = await this.#process.status;
    if (status === NO_STATUS && message !== "" && !this.#stopping) {
      throw new ImageError(`QEMU stopped (status ${code}): ${message}`);
    }
    return status;
  }

  /** Ends the guest at once, as pulling the plug does. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#kill("SIGTERM");
    const timer = setTimeout(() => this.#kill("SIGKILL"), 3000);
    await this.#process.status;
    clearTimeout(timer);
  }

  /** Ends the guest. */
  #kill(signal: Deno.Signal): void {
    try {
      this.#process.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }

  /** Ends the guest. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A program of util-linux that ends the guest when this process is killed and can't do so itself; none without it. */
async function tied(): Promise<string[]> {
  const path = await find("setpriv");
  return path === null ? [] : [path, "--pdeathsig", "TERM", "--"];
}

/**
 * Finds what QEMU would not say in one line, or would not say at all.
 * @throws {ImageError} When a port is in use, or a TAP or socket is not there.
 */
export async function checkNetwork(network: Network): Promise<void> {
  const exists = (path: string) => Deno.stat(path).then(() => true, () => false);
  if (network.kind === "user") {
    for (const { protocol, host } of network.forwards) if (protocol === "tcp") checkPort(host);
  } else if (network.kind === "socket") {
    if (!await exists(network.path)) {
      throw new ImageError(
        `Cannot find the socket "${network.path}": start the program that listens on it first`,
      );
    }
  } else if (network.kind === "tap") {
    const { name } = network;
    const path = `/sys/class/net/${name}`;
    if (!await exists(path)) {
      throw new ImageError(
        `Cannot find the TAP device "${name}": make it as root with "ip tuntap add dev ${name} mode tap"`,
      );
    }
    if (!await exists(`${path}/tun_flags`)) {
      throw new ImageError(`Interface "${name}" is not a TAP device: give the name of one`);
    }
  }
}

function checkPort(port: number): void {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) {
      throw new ImageError(`Port ${port} is in use on this machine: choose another one`);
    }
    if (error instanceof Deno.errors.PermissionDenied) {
      throw new ImageError(`Port ${port} needs root on this machine: choose one above 1023`);
    }
    throw error;
  }
}

async function eachLine(
  stream: ReadableStream<Uint8Array<ArrayBuffer>>,
  take: (line: string) => void,
): Promise<void> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) take(line.replace(/\r+$/, ""));
  }
  if (rest !== "") take(rest);
}
