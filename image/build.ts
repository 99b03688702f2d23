/**
 * Builds a VM image: a kernel and an initramfs in which Deno is process 1 and one program runs.
 *
 * @module
 */

import { basename, join } from "node:path";
import { promisify } from "node:util";
import { constants, zstdCompress } from "node:zlib";
import { bundle } from "./bundle.ts";
import { CACHE_DIRECTORY, caches } from "./caches.ts";
import { configArchive, type GuestConfig } from "./config.ts";
import { characterDevice, type CpioEntry, directory, file, writeCpio } from "./cpio.ts";
import { ImageError } from "./errors.ts";
import { kernel, kernelModules } from "./kernel.ts";
import { type Manifest, sha256, writeManifest } from "./manifest.ts";
import { runtime } from "./runtime.ts";
import { megabytes, Stages } from "./stages.ts";

/** What {@link build} takes. */
export interface BuildOptions {
  /** The program's main module. */
  readonly program: string;
  /** Directory to write; made when it is missing. */
  readonly out: string;
  /** What the guest is told. */
  readonly config: GuestConfig;
  /** Whether the network device is driven by the kernel, for programs on Deno's own sockets. Default false. */
  readonly kernelNetwork?: boolean;
  /** zstd level, 1 to 22; 0 for no compression, which boots faster and takes three times the space. */
  readonly level: number;
  /** Takes a line a stage. */
  readonly print: (line: string) => void;
}

/** The kernel's modules that a guest needs: user-space PCI drivers, and configuration from QEMU. */
const MODULES = ["uio_pci_generic", "qemu_fw_cfg"];

/** The same, for a guest whose network is the kernel's. */
const KERNEL_NETWORK_MODULES = ["virtio_pci", "virtio_net", "qemu_fw_cfg"];

/** Where the program lies in the guest. */
const INIT = "app/init.js";
const MAIN = "app/main.js";

/**
 * The kernel's command line. What follows `--` are arguments of process 1, and `NAME=value` goes to its environment.
 * A ramfs has no limit of its own, unlike a tmpfs with its half of the memory. Whether timer interrupts come is not tried
 * (`no_timer_check`): on a busy host an emulator may deliver none in the time of the trial, and the kernel would stop. The kernel hides nothing from a
 * process that may load modules into it, so it spends nothing on keeping processors from telling (`mitigations`).
 */
export const COMMAND_LINE = [
  "console=ttyS0",
  "quiet",
  "panic=-1",
  "no_timer_check",
  "random.trust_cpu=on",
  "mitigations=off",
  "rootfstype=ramfs",
  "rdinit=/bin/deno",
  "HOME=/tmp",
  `DENO_DIR=/${CACHE_DIRECTORY}`,
  "DENO_NO_UPDATE_CHECK=1",
  "NO_COLOR=1",
  "--",
  "run",
  "--allow-all",
  "--cached-only",
  "--no-check",
  "--no-config",
  "--no-lock",
  `--preload=/${INIT}`,
  `/${MAIN}`,
].join(" ");

/**
 * Builds an image. The same inputs give the same bytes.
 * @returns What {@link Manifest} says about it.
 * @throws {ImageError} When something is missing; nothing is written then. Or when `out` can't be written.
 */
export async function build(options: BuildOptions): Promise<Manifest> {
  await checkTarget(options.out);
  const stages = new Stages(options.print);
  const { init, main } = await stages.run(
    "bundle",
    async () => ({
      main: await bundle(options.program, basename(MAIN)),
      init: await bundle(join(import.meta.dirname!, "init.ts"), basename(INIT), projectRoot()),
    }),
    ({ main }) => `${options.program} (${(main.code.length / 1e3).toFixed(0)} kB)`,
  );
  const cached = await stages.run(
    "caches",
    () => caches([{ path: INIT, code: init.code }, { path: MAIN, code: main.code }]),
    (files) => `compiled code and imports, made ahead (${megabytes(sum(files))})`,
  );
  const deno = await stages.run(
    "runtime",
    () => runtime(),
    (files) => `Deno ${Deno.version.deno} and ${files.length - 1} libraries (${megabytes(sum(files))})`,
  );
  const { source, image, modules } = await stages.run("kernel", async () => {
    const source = await kernel();
    return {
      source,
      image: await Deno.readFile(source.image),
      modules: await kernelModules(source, options.kernelNetwork ? KERNEL_NETWORK_MODULES : MODULES),
    };
  }, ({ source, modules }) => `${source.version}, ${modules.length} modules`);
  const archive = await stages.run(
    "archive",
    () =>
      writeCpio([
        ...deno,
        ...cached,
        ...modules.map(({ name, data }) => file(`lib/modules/${name}.ko`, data)),
        file("lib/modules/load", modules.map(({ name }) => `/lib/modules/${name}.ko\n`).join("")),
        file(INIT, init.code),
        file(`${INIT}.map`, init.map),
        file(MAIN, main.code),
        file(`${MAIN}.map`, main.map),
        // The kernel opens the console before process 1 can mount anything.
        characterDevice("dev/console", 5, 1),
        directory("proc"),
        directory("sys"),
        directory("tmp", 0o777),
      ]),
    (archive) => megabytes(archive.length),
  );
  const packed = await stages.run(
    "compress",
    () => compress(archive, options.level),
    (packed) => options.level === 0 ? "none" : `zstd -${options.level}: ${megabytes(packed.length)}`,
  );
  const manifest = await stages.run("write", async () => {
    const configuration = configArchive(options.config);
    const initramfs = concatenate(packed, configuration);
    const manifest: Manifest = {
      format: 1,
      program: options.program,
      deno: Deno.version.deno,
      kernel: source.version,
      commandLine: COMMAND_LINE,
      config: options.config,
      compression: options.level === 0 ? "none" : `zstd:${options.level}`,
      baseLength: packed.length + padding(packed.length),
      unpackedLength: archive.length,
      files: {
        "vmlinuz": { length: image.length, sha256: await sha256(image) },
        "initramfs.img": { length: initramfs.length, sha256: await sha256(initramfs) },
      },
    };
    try {
      await Deno.mkdir(options.out, { recursive: true });
      await Deno.writeFile(join(options.out, "vmlinuz"), image);
      await Deno.writeFile(join(options.out, "initramfs.img"), initramfs);
      await writeManifest(options.out, manifest);
    } catch (error) {
      throw new ImageError(`Cannot write the image to "${options.out}": ${(error as Error).message}`);
    }
    return manifest;
  }, (manifest) => `sha256 ${manifest.files["initramfs.img"].sha256.slice(0, 16)}`);
  const { "vmlinuz": vmlinuz, "initramfs.img": initramfs } = manifest.files;
  stages.end(`${options.out} (${megabytes(vmlinuz.length + initramfs.length)})`);
  return manifest;
}

/** Says before the work what would stop its end. */
async function checkTarget(out: string): Promise<void> {
  const info = await Deno.stat(out).catch(() => null);
  if (info !== null && !info.isDirectory) {
    throw new ImageError(`Cannot write the image to "${out}": it is not a directory; give another name`);
  }
}

function projectRoot(): string {
  return join(import.meta.dirname!, "..");
}

function sum(entries: readonly CpioEntry[]): number {
  return entries.reduce((length, entry) => length + entry.data.length, 0);
}

/** Zero bytes that bring an archive to a multiple of 4, where the kernel looks for the next one. */
function padding(length: number): number {
  return -length & 3;
}

/** The image's archive followed by the configuration's. */
export function concatenate(
  base: Uint8Array<ArrayBuffer>,
  configuration: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const start = base.length + padding(base.length);
  const all = new Uint8Array(start + configuration.length);
  all.set(base);
  all.set(configuration, start);
  return all;
}

async function compress(data: Uint8Array<ArrayBuffer>, level: number): Promise<Uint8Array<ArrayBuffer>> {
  if (level === 0) return data;
  if (!Number.isInteger(level) || level < 1 || level > 22) {
    throw new ImageError(`Compression level must be 1 to 22, got ${level}`);
  }
  const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_contentSizeFlag]: 1 };
  return new Uint8Array(await promisify(zstdCompress)(data, { params }));
}
