/**
 * Network namespaces for tests. Everything that a test creates lies in namespaces of its own, so that tests neither
 * see nor disturb the machine's network, and is removed when the test ends, fails or is interrupted.
 *
 * @module
 */

import { attempt, Process, type ProcessOptions, type Result, run } from "./process.ts";

/** `ethox-<process>-<number>`: tells whose it is, so that what a killed run left behind is recognised. */
const NAME = /^ethox-(\d+)-\d+$/;

/** Options of {@link Namespace.tap}. */
export interface TapOptions {
  /** The kernel's addresses on the link, as `10.0.0.1/24`. */
  addresses?: readonly string[];
  /** MTU of the kernel's side, in bytes; 1500 by default. */
  mtu?: number;
  /** `tun` for one that carries bare IP packets; `tap` by default. */
  mode?: "tap" | "tun";
  /** The user that may open it without being root. */
  user?: string;
}

const live = new Set<Namespace>();
let created = 0;
let swept = false;

/** A network namespace. `await using` it. */
export class Namespace implements AsyncDisposable {
  /** Its name for `ip netns`. */
  readonly name: string;
  readonly #processes = new Set<Process>();

  private constructor(name: string) {
    this.name = name;
  }

  /**
   * Makes a namespace in which only `lo` is up, and IPv6 sends nothing by itself.
   * @throws {Error} If this process is not root, or `ip` is missing.
   */
  static async create(): Promise<Namespace> {
    if (Deno.uid() !== 0) throw new Error("Network namespaces need root; run the tests as root");
    if (!swept) {
      swept = true;
      await sweep();
    }
    const namespace = new Namespace(`ethox-${Deno.pid}-${created++}`);
    await run("ip", ["netns", "add", namespace.name]);
    if (live.size === 0) watchSignals();
    live.add(namespace);
    try {
      await namespace.ip("link", "set", "lo", "up");
      await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1");
    } catch (error) {
      await namespace[Symbol.asyncDispose]();
      throw error;
    }
    return namespace;
  }

  /** Runs `ip` on this namespace. */
  async ip(...args: string[]): Promise<string> {
    return (await run("ip", ["-n", this.name, ...args])).stdout;
  }

  /** Sets one of the kernel's settings for this namespace. */
  async sysctl(key: string, value: string): Promise<void> {
    const path = `/proc/sys/${key.replaceAll(".", "/")}`;
    await this.run("sh", ["-c", 'printf %s "$1" >"$2"', "sh", value, path]);
  }

  /**
   * Makes a TAP or TUN device that outlives the programs which open it, sets it up, and gives the kernel its addresses.
   * It has no link until a program opens it.
   */
  async tap(name: string, options: TapOptions = {}): Promise<void> {
    const owner = options.user === undefined ? [] : ["user", options.user];
    await this.ip("tuntap", "add", "dev", name, "mode", options.mode ?? "tap", "vnet_hdr", ...owner);
    for (const address of options.addresses ?? []) await this.ip("address", "add", address, "dev", name);
    await this.ip("link", "set", name, "mtu", String(options.mtu ?? 1500), "up");
  }

  /** Joins this namespace with another by a veth pair of the kernel, each end with its address; null for none. */
  async veth(
    name: string,
    address: string,
    peer: Namespace,
    peerName: string,
    peerAddress: string | null,
  ): Promise<void> {
    await this.ip("link", "add", name, "type", "veth", "peer", "name", peerName, "netns", peer.name);
    await this.ip("address", "add", address, "dev", name);
    if (peerAddress !== null) await peer.ip("address", "add", peerAddress, "dev", peerName);
    await this.ip("link", "set", name, "up");
    await peer.ip("link", "set", peerName, "up");
  }

  /** The names of its interfaces. */
  async interfaces(): Promise<string[]> {
    const links = JSON.parse(await this.ip("-json", "link", "show")) as { ifname: string }[];
    return links.map((link) => link.ifname);
  }

  /** Starts a program in the namespace; it is ended with it at the latest. */
  spawn(command: string, args: readonly string[], options?: ProcessOptions): Process {
    const process = new Process("ip", ["netns", "exec", this.name, command, ...args], options);
    this.#processes.add(process);
    process.ended.catch(() => {}).finally(() => this.#processes.delete(process));
    return process;
  }

  /** Starts a module of this repository in the namespace, with the Deno that runs the tests. */
  deno(module: string, args: readonly string[], options?: ProcessOptions): Process {
    return this.spawn(
      Deno.execPath(),
      ["run", "-A", "--no-check", "--quiet", moduleUrl(module), ...args],
      options,
    );
  }

  /** Runs a program to its end; throws if its exit status is not 0. */
  run(command: string, args: readonly string[], options?: ProcessOptions): Promise<Result> {
    return run("ip", ["netns", "exec", this.name, command, ...args], options);
  }

  /** Runs a program to its end, whatever its exit status. */
  attempt(command: string, args: readonly string[], options?: ProcessOptions): Promise<Result> {
    return attempt("ip", ["netns", "exec", this.name, command, ...args], options);
  }

  /** Ends every program in it and removes it, with all of its interfaces. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all([...this.#processes].map((process) => process.stop()));
    } finally {
      remove(this.name);
      live.delete(this);
      if (live.size === 0) unwatchSignals();
    }
  }
}

/** The namespaces of this process that exist now; empty after a well-behaved test. */
export async function ownNamespaces(): Promise<string[]> {
  return (await list()).filter((name) => name.startsWith(`ethox-${Deno.pid}-`));
}

/**
 * Removes namespaces whose process no longer exists: it was killed before it could.
 * @returns The names of those that were removed.
 */
export async function sweep(): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await list()) {
    const owner = NAME.exec(name)?.[1];
    if (owner === undefined || await exists(`/proc/${owner}`)) continue;
    remove(name);
    removed.push(name);
  }
  return removed;
}

function moduleUrl(module: string): string {
  return new URL(`../../${module}`, import.meta.url).pathname;
}

async function list(): Promise<string[]> {
  const { stdout } = await run("ip", ["netns", "list"]);
  return stdout.split("\n").map((line) => line.split(" ")[0] ?? "").filter((name) => name !== "");
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}

/** Synchronous, because it also runs when the process is about to be ended by a signal. */
function remove(name: string): void {
  const { stdout } = new Deno.Command("ip", { args: ["netns", "pids", name], stderr: "null" }).outputSync();
  for (const pid of new TextDecoder().decode(stdout).split("\n").filter((text) => text !== "")) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It ended by itself in this moment.
    }
  }
  const { code, stderr } = new Deno.Command("ip", { args: ["netns", "delete", name] }).outputSync();
  if (code !== 0) {
    throw new Error(`Cannot remove the namespace "${name}": ${new TextDecoder().decode(stderr).trim()}`);
  }
}

function removeAllAndExit(): void {
  for (const namespace of live) remove(namespace.name);
  Deno.exit(130);
}

function watchSignals(): void {
  Deno.addSignalListener("SIGINT", removeAllAndExit);
  Deno.addSignalListener("SIGTERM", removeAllAndExit);
}

function unwatchSignals(): void {
  Deno.removeSignalListener("SIGINT", removeAllAndExit);
  Deno.removeSignalListener("SIGTERM", removeAllAndExit);
}
