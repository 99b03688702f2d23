/**
 * Images for tests: built once a program, without compression because that boots fastest, and removed at the end.
 *
 * @module
 */

import { join } from "node:path";
import { build } from "../../image/build.ts";
import { DEFAULT_CONFIG, type GuestConfig } from "../../image/config.ts";
import { Guest, type RunOptions } from "../../image/run.ts";

/** Longest life of a guest in a test, in ms. Under software emulation on a busy machine a boot takes 10 s. */
const DEADLINE = 120_000;

/** Lines of a console that a failure tells. */
const TOLD = 60;

/** What a console said last. */
function ending(lines: readonly string[]): string {
  if (lines.length === 0) {
    return "its console is empty: the kernel is quiet, and Deno has not reached its first line";
  }
  return `its console ends with:\n${lines.slice(-TOLD).join("\n")}`;
}

/** An image of one program. `await using` it. */
export class TestImage implements AsyncDisposable {
  /** Its directory. */
  readonly directory: string;

  private constructor(directory: string) {
    this.directory = directory;
  }

  /** Builds the image of a program of this repository, such as `tests/guest/ending.ts`. */
  static async build(
    program: string,
    config: GuestConfig = DEFAULT_CONFIG,
    options: { kernelNetwork?: boolean } = {},
  ): Promise<TestImage> {
    const directory = await Deno.makeTempDir({ prefix: "ethox-image-" });
    try {
      await build({
        program: join(import.meta.dirname!, "../..", program),
        out: directory,
        config,
        ...options,
        level: 0,
        print: () => {},
      });
    } catch (error) {
      await Deno.remove(directory, { recursive: true });
      throw error;
    }
    return new TestImage(directory);
  }

  /**
   * Boots it and stays until it ends.
   * @param deadline Longest life of the guest, in ms.
   * @throws {Error} When the deadline ends it; the message has the end of its console.
   */
  async run(
    options: Partial<RunOptions> = {},
    deadline = DEADLINE,
  ): Promise<{ status: number; console: string[] }> {
    const lines: string[] = [];
    await using guest = await Guest.start({
      image: this.directory,
      network: { kind: "none" },
      console: (line) => lines.push(line),
      ...options,
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      guest.stop();
    }, deadline);
    try {
      const status = await guest.status;
      if (late) throw new Error(`The guest did not end within ${deadline / 1000} s; ${ending(lines)}`);
      return { status, console: lines };
    } finally {
      clearTimeout(timer);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.directory, { recursive: true });
  }
}
