/**
 * One of our hosts on a TAP, in a namespace whose kernel is its peer.
 *
 * @module
 */

import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";

/** Address of the kernel on the TAP. */
export const KERNEL = "10.80.0.1";
/** Address of our host. */
export const HOST = "10.80.0.2";

/** A namespace with a TAP, and a program of ours on it; `await using` it. */
export class Host implements AsyncDisposable {
  /** The namespace, in which peers run. */
  readonly namespace: Namespace;
  /** Our program. */
  readonly program: Process;

  private constructor(namespace: Namespace, program: Process) {
    this.namespace = namespace;
    this.program = program;
  }

  /**
   * Starts a module of this repository, with the options that every example takes, and waits for it to listen.
   * @param module Path in the repository.
   * @param args Further arguments.
   * @param namespace Where; a new namespace by default. Disposed of with the host.
   */
  static async start(module: string, args: readonly string[] = [], namespace?: Namespace): Promise<Host> {
    const home = namespace ?? await Namespace.create();
    try {
      await home.tap("tap0", { addresses: [`${KERNEL}/24`] });
      const program = home.deno(
        module,
        ["--device", "tap:tap0", "--address", `${HOST}/24`, "--gateway", KERNEL, ...args],
        { deadline: 180_000 },
      );
      await program.printed(/listening|serving/i);
      return new Host(home, program);
    } catch (error) {
      await home[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Ends the program and removes the namespace. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop();
    await this.namespace[Symbol.asyncDispose]();
  }
}

/** Makes a file of `size` bytes that no two places of repeat; `await using` it removes it. */
export async function randomFile(size: number): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.makeTempFile();
  const file = await Deno.open(path, { write: true });
  try {
    for (let left = size; left > 0;) {
      const chunk = crypto.getRandomValues(new Uint8Array(Math.min(left, 65536)));
      left -= await file.write(chunk);
    }
  } finally {
    file.close();
  }
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}
