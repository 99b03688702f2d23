/**
 * One of our hosts on a TAP, in a namespace whose kernel speaks IPv6.
 *
 * @module
 */

import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";

/** Address of the kernel on the TAP. */
export const KERNEL = "fd00:80::1";
/** Address that our host is given. */
export const HOST = "fd00:80::2";

/** A namespace whose kernel speaks IPv6 on a TAP, and `examples/http_echo.ts` on the TAP's other end; `await using` it. */
export class Ipv6Host implements AsyncDisposable {
  private constructor(readonly namespace: Namespace, readonly program: Process) {}

  static start(...args: string[]): Promise<Ipv6Host> {
    return Ipv6Host.run("examples/http_echo.ts", ...args);
  }

  /** Starts another module of this repository, with the options that every example takes, and waits for it to listen. */
  static async run(module: string, ...args: string[]): Promise<Ipv6Host> {
    const namespace = await Namespace.create();
    try {
      await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
      await namespace.tap("tap0");
      await namespace.ip("address", "add", `${KERNEL}/64`, "dev", "tap0", "nodad");
      const program = namespace.deno(module, ["--device", "tap:tap0", ...args], {
        deadline: 120_000,
      });
      await program.printed(/listening/i);
      return new Ipv6Host(namespace, program);
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Pings until somebody answers: addresses are used a second or two after a start. */
  async reach(address: string): Promise<void> {
    for (let attempt = 0; attempt < 20; attempt++) {
      const { code } = await this.namespace.attempt("ping", ["-6", "-q", "-c", "1", "-W", "1", address]);
      if (code === 0) return;
    }
    assert.fail(`${address} does not answer: ${this.program.stderr}`);
  }

  /** Our link address, as the kernel has learned it. */
  async mac(): Promise<number[]> {
    const known = JSON.parse(await this.namespace.ip("-6", "-json", "neighbour", "show", HOST)) as {
      lladdr: string;
    }[];
    return (known[0]?.lladdr ?? "").split(":").map((part) => parseInt(part, 16));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program.stop();
    await this.namespace[Symbol.asyncDispose]();
  }
}

/** The address that a host with this link address makes of a prefix (RFC 4291, appendix A). */
export function eui64(prefix: string, mac: number[]): string {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0] = mac;
  const group = (high: number, low: number) => (high << 8 | low).toString(16);
  return `${prefix}:${group(a ^ 2, b)}:${group(c, 0xff)}:${group(0xfe, d)}:${group(e, f)}`;
}
