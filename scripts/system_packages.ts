/**
 * The programs of the system that tests, the demo and the bench use, and how to get them.
 *
 * On Debian and Ubuntu, as root, what is missing is installed. Anywhere else nothing is touched: the error says
 * exactly what to install.
 *
 * @module
 */

/** Which Debian package brings each program. */
export const PACKAGES = {
  "arping": "arping",
  "avahi-browse": "avahi-utils",
  "avahi-daemon": "avahi-daemon",
  "curl": "curl",
  "dbus-daemon": "dbus",
  "dhcpd": "isc-dhcp-server",
  "dig": "bind9-dnsutils",
  "dnsmasq": "dnsmasq-base",
  "ethtool": "ethtool",
  "ip": "iproute2",
  "iperf3": "iperf3",
  "nc": "netcat-openbsd",
  "ndisc6": "ndisc6",
  "nmap": "nmap",
  "ping": "iputils-ping",
  "qemu-system-x86_64": "qemu-system-x86",
  "radvd": "radvd",
  "rdisc6": "ndisc6",
  "socat": "socat",
  "tcpdump": "tcpdump",
  "traceroute": "traceroute",
  "tshark": "tshark",
  "wrk": "wrk",
  "zstd": "zstd",
} as const;

/** A program that {@link ensureCommands} knows how to get. */
export type Command = keyof typeof PACKAGES;

/** Raised when programs are missing and are not to be had without the user. */
export class MissingPackages extends Error {
  override readonly name = "MissingPackages";
}

/** What {@link ensureCommands} needs of the machine; replaced in tests. */
export interface Machine {
  /** True if the program is found in `PATH`, or where Debian puts programs for root. */
  has(command: string): Promise<boolean>;
  /** True if `apt-get` works here: a Debian or Ubuntu system, and we are root. */
  readonly canInstall: boolean;
  /** Runs a program; resolves with its exit status and what it printed. */
  run(command: string, args: string[]): Promise<{ code: number; output: string }>;
  /** Does `work` while packages that are installed start no services of their own. */
  quietly<T>(work: () => Promise<T>): Promise<T>;
  /** Tells the user. */
  say(line: string): void;
}

/** Waits for another installation that is under way, for two minutes. */
const LOCK = ["-o", "DPkg::Lock::Timeout=120"];

const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Adds the directories of programs for root to `PATH`, which some shells leave out (`tcpdump`, `arping`). */
export function completePath(): void {
  const path = (Deno.env.get("PATH") ?? "").split(":").filter((part) => part !== "");
  Deno.env.set("PATH", [...path, ...DIRECTORIES.filter((directory) => !path.includes(directory))].join(":"));
}

/** True if `command` is a file in `PATH`. */
export async function hasCommand(command: string): Promise<boolean> {
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      const { isFile, mode } = await Deno.stat(`${directory}/${command}`);
      if (isFile && (mode === null || (mode & 0o111) !== 0)) return true;
    } catch {
      // Not in this directory.
    }
  }
  return false;
}

async function thisMachine(): Promise<Machine> {
  return {
    has: hasCommand,
    canInstall: Deno.build.os === "linux" && Deno.uid() === 0 && await hasCommand("apt-get"),
    async run(command, args) {
      const { code, stdout, stderr } = await new Deno.Command(command, {
        args,
        env: { DEBIAN_FRONTEND: "noninteractive" },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        signal: AbortSignal.timeout(600_000),
      }).output();
      return { code, output: new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr) };
    },
    async quietly(work) {
      // What Debian's packages ask before they start a service (deb-systemd-invoke, invoke-rc.d).
      const policy = "/usr/sbin/policy-rc.d";
      const absent = await Deno.stat(policy).then(() => false, () => true);
      if (absent) await Deno.writeTextFile(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
      try {
        return await work();
      } finally {
        if (absent) await Deno.remove(policy);
      }
    },
    say: (line) => console.log(line),
  };
}

/**
 * Makes sure that programs are there.
 *
 * @param commands The programs.
 * @param machine The machine; this one by default.
 * @throws {MissingPackages} If some are missing and cannot be installed from here. The message is one line and
 *   ends with the command that installs them.
 */
export async function ensureCommands(commands: readonly Command[], machine?: Machine): Promise<void> {
  completePath();
  const host = machine ?? await thisMachine();
  const missing: Command[] = [];
  for (const command of commands) if (!await host.has(command)) missing.push(command);
  if (missing.length === 0) return;

  const packages = [...new Set(missing.map((command) => PACKAGES[command]))].sort();
  const what = `Missing ${missing.map((command) => `"${command}"`).join(", ")}`;
  const install = `apt-get install -y --no-install-recommends ${packages.join(" ")}`;
  if (!host.canInstall) {
    throw new MissingPackages(`${what}; install as root with: apt-get update && ${install}`);
  }
  host.say(`Installing ${packages.join(" ")}`);
  const update = await host.run("apt-get", ["-qq", ...LOCK, "update"]);
  const options = ["-qq", ...LOCK, "install", "-y", "--no-install-recommends", ...packages];
  const result = await host.quietly(() => host.run("apt-get", options));
  const still: Command[] = [];
  for (const command of missing) if (!await host.has(command)) still.push(command);
  if (still.length === 0) return;
  const cause = (result.code !== 0 ? result : update).output.trim().split("\n").at(-1) ?? "";
  throw new MissingPackages(
    `${what}, and "${install}" left ${still.map((command) => `"${command}"`).join(", ")} missing` +
      (cause === "" ? "" : ` (${cause})`),
  );
}
