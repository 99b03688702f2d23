/**
 * An ordinary Linux host as a peer: Debian's cloud kernel with its modules and a busybox, in a virtual machine. For what
 * the kernel of the machine that runs the tests may not have (VLANs, say). It boots in two or three seconds, also under
 * software emulation, and needs no privilege.
 *
 * @module
 */

import { join } from "node:path";
import { accelerator } from "../../image/accelerator.ts";
import { output } from "../../image/command.ts";
import { characterDevice, type CpioEntry, directory, file, writeCpio } from "../../image/cpio.ts";
import { cacheDirectory, kernel, kernelModules } from "../../image/kernel.ts";
import { processor, QEMU } from "../../image/qemu.ts";
import { Process } from "./process.ts";

/** Debian's package of a busybox that needs no libraries. */
const BUSYBOX_PACKAGE = "busybox-static";
/** Milliseconds until it has booted on a busy machine under software emulation. */
const BOOT = 180_000;
/** Milliseconds of a peer's life at most. */
const LIFE = 400_000;

/**
 * Process 1 of the peer: loads the modules, and runs each line of its console by a shell. `[begin N]` and `[end N STATUS]` stand
 * around what a command prints.
 */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module || echo "Cannot load $module"; done
ip link set lo up
stty -F /dev/console -echo -onlcr
echo "[ready]"
while read -r number line; do
  echo "[begin $number]"
  sh -c "$line" </dev/null 2>&1
  echo "[end $number $?]"
done
poweroff -f
`;

/** How to start a {@link LinuxPeer}. */
export interface LinuxPeerOptions {
  /** Path of the socket that QEMU connects to: its `eth0` is on that link. */
  socket: string;
  /** Modules to load beside those of its network card, in any order: `8021q`, `bridge`. */
  modules?: readonly string[];
  /** Link address of `eth0`. */
  mac?: string;
}

/** What a command of a peer did. */
export interface PeerResult {
  /** Exit status. */
  code: number;
  /** What it printed, on both streams. */
  output: string;
}

/** A Linux in a virtual machine that runs what it is told. `await using` it. */
export class LinuxPeer implements AsyncDisposable {
  readonly #process: Process;
  readonly #folder: string;
  #count = 0;

  private constructor(process: Process, folder: string) {
    this.#process = process;
    this.#folder = folder;
  }

  /** Boots one and waits until it takes commands. @throws {Error} If it does not boot. */
  static async start(options: LinuxPeerOptions): Promise<LinuxPeer> {
    const { modules = [], mac = "52:54:00:00:bb:01", socket } = options;
    const linux = await kernel();
    const folder = await Deno.makeTempDir({ prefix: "ethox-peer-" });
    try {
      const initramfs = join(folder, "initramfs");
      const loaded = await kernelModules(linux, ["virtio_pci", "virtio_net", ...modules]);
      const entries: CpioEntry[] = [
        file("init", INIT, 0o755),
        file("bin/busybox", await busybox(), 0o755),
        characterDevice("dev/console", 5, 1),
        ...["proc", "sys", "tmp"].map((path) => directory(path)),
        // In the order in which they need each other.
        ...loaded.map(({ name, data }, index) =>
          file(`modules/${String(index).padStart(2, "0")}-${name}.ko`, data)
        ),
      ];
      await Deno.writeFile(initramfs, writeCpio(entries));
      const kind = await accelerator();
      const process = new Process(QEMU, [
        ...["-machine", "q35", "-accel", kind, "-cpu", processor(kind), "-smp", "1", "-m", "192M"],
        ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
        ...["-kernel", linux.image, "-initrd", initramfs],
        ...["-append", "console=ttyS0 quiet loglevel=1 panic=-1 no_timer_check"],
        ...["-netdev", `stream,id=net0,server=off,addr.type=unix,addr.path=${socket}`],
        ...["-device", `virtio-net-pci,netdev=net0,disable-legacy=on,romfile=,mac=${mac}`],
      ], { input: "piped", deadline: LIFE });
      const peer = new LinuxPeer(process, folder);
      try {
        await process.printed(/\[ready\]/, BOOT);
        return peer;
      } catch (error) {
        await peer[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      await Deno.remove(folder, { recursive: true }).catch(() => {});
      throw error;
    }
  }

  /** What its console has shown so far. */
  get console(): string {
    return this.#process.stdout;
  }

  /** Has its shell run a line to the end, whatever its status. @param deadline Milliseconds. */
  async attempt(line: string, deadline = 60_000): Promise<PeerResult> {
    const number = ++this.#count;
    await this.#process.write(`${number} ${line}\n`);
    const pattern = new RegExp(`^\\[begin ${number}\\]\\r?\\n([^]*?)\\[end ${number} (\\d+)\\]\\r?$`, "m");
    const [, text = "", code] = await this.#process.printed(pattern, deadline);
    return { code: Number(code), output: text.replaceAll("\r", "") };
  }

  /** As {@link attempt}. @returns What it printed. @throws {Error} If its status is not 0. */
  async run(line: string, deadline?: number): Promise<string> {
    const { code, output } = await this.attempt(line, deadline);
    if (code !== 0) throw new Error(`"${line}" exited with ${code} on the peer\n${output.trim()}`);
    return output;
  }

  /** Switches it off. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.stop();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** The program, from the cache when it was fetched before. */
async function busybox(): Promise<Uint8Array<ArrayBuffer>> {
  const cache = join(cacheDirectory(), "busybox");
  await Deno.mkdir(cache, { recursive: true });
  const target = join(cache, BUSYBOX_PACKAGE);
  try {
    return await Deno.readFile(target);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const work = await Deno.makeTempDir({ dir: cache, prefix: ".unpack-" });
  try {
    await download(work);
    const [deb] = [...Deno.readDirSync(work)].filter((entry) => entry.name.endsWith(".deb"));
    await output("dpkg-deb", ["--extract", join(work, deb!.name), join(work, "tree")]);
    for (const path of ["bin/busybox", "usr/bin/busybox"]) {
      const found = join(work, "tree", path);
      if (!await Deno.stat(found).then((info) => info.isFile, () => false)) continue;
      // Whole or not at all, when several tests fetch it at once.
      await Deno.rename(found, target);
      return await Deno.readFile(target);
    }
    throw new Error(`Package "${BUSYBOX_PACKAGE}" has no busybox in it`);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

async function download(folder: string): Promise<void> {
  const fetch = () => output("apt-get", ["download", BUSYBOX_PACKAGE], { cwd: folder });
  try {
    await fetch();
  } catch (error) {
    if (Deno.uid() !== 0) throw error;
    // A list that is missing, or too old.
    await output("apt-get", ["-qq", "-o", "DPkg::Lock::Timeout=120", "update"]);
    await fetch();
  }
}
