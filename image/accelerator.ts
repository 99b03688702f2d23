/**
 * Finds out whether this machine can run guests on its own processor.
 *
 * @module
 */

import { missing } from "./command.ts";
import type { Accelerator } from "./qemu.ts";
import { processor, QEMU } from "./qemu.ts";

/** What the firmware writes to the exit device, and the status that QEMU makes of it: (value << 1) | 1. */
const VALUE = 0x10;
const STATUS = VALUE << 1 | 1;

/**
 * A firmware of 64 KiB whose reset vector, 16 bytes before its end, is
 * `mov al, VALUE; out 0xf4, al; hlt; jmp $-1`.
 */
function firmware(): Uint8Array<ArrayBuffer> {
  const rom = new Uint8Array(65536).fill(0xf4);
  rom.set([0xb0, VALUE, 0xe6, 0xf4, 0xf4, 0xeb, 0xfd], rom.length - 16);
  return rom;
}

/**
 * Starts a guest of four instructions on the processor that real guests get. `/dev/kvm` may be there, and be opened,
 * and still not run a guest.
 * @param limit Milliseconds after which it is given up.
 * @throws {ImageError} When QEMU is missing.
 */
export async function works(accelerator: Accelerator, limit = 10_000): Promise<boolean> {
  const path = await Deno.makeTempFile({ prefix: "ethox-probe-" });
  try {
    await Deno.writeFile(path, firmware());
    const { code } = await new Deno.Command(QEMU, {
      args: [
        ...[
          "-machine",
          "q35",
          "-accel",
          accelerator,
          "-cpu",
          processor(accelerator),
          "-m",
          "16M",
          "-nodefaults",
          "-no-user-config",
        ],
        ...["-display", "none", "-bios", path, "-device", "isa-debug-exit,iobase=0xf4,iosize=0x01"],
      ],
      stdin: "null",
      stdout: "null",
      stderr: "null",
      signal: AbortSignal.timeout(limit),
    }).output();
    return code === STATUS;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw missing(QEMU);
    throw error;
  } finally {
    await Deno.remove(path);
  }
}

/** KVM where it works, else software emulation. */
export async function accelerator(): Promise<Accelerator> {
  try {
    await Deno.stat("/dev/kvm");
  } catch {
    return "tcg";
  }
  return await works("kvm") ? "kvm" : "tcg";
}
