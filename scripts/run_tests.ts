/**
 * `deno task test`: installs what is missing and runs every test.
 *
 * Unit tests first, with the leak sanitizers, then the examples in the documentation, then what crosses modules
 * (`tests/`), one file after the other. The last line is `N passed, N failed`; the exit status is 1 if any failed.
 *
 * With paths as arguments only those are run: `deno task test stack/tcp tests/interop`.
 *
 * @module
 */

import { sweep } from "../tests/harness/namespace.ts";
import { layerOf } from "./imports.ts";
import { walkTypeScript } from "./source_tree.ts";
import { type Command, ensureCommands, MissingPackages } from "./system_packages.ts";

/** Programs that the tests use. */
const COMMANDS: Command[] = [
  "arping",
  "avahi-browse",
  "avahi-daemon",
  "curl",
  "dbus-daemon",
  "dhcpd",
  "dig",
  "dnsmasq",
  "ip",
  "iperf3",
  "nc",
  "ndisc6",
  "nmap",
  "ping",
  "qemu-system-x86_64",
  "radvd",
  "rdisc6",
  "socat",
  "tcpdump",
  "traceroute",
  "tshark",
  "wrk",
  "zstd",
];

/** Milliseconds for everything together. */
const DEADLINE = 25 * 60_000;

const SANITIZERS = ["--sanitize-ops", "--sanitize-resources"];

/** How many tests passed, failed and were ignored. */
export interface Totals {
  passed: number;
  failed: number;
  ignored: number;
}

/** Reads the totals of a JUnit report. */
export function readJunit(xml: string): Totals {
  const totals: Totals = { passed: 0, failed: 0, ignored: 0 };
  for (const [suite] of xml.matchAll(/<testsuite\s[^>]*>/g)) {
    const attribute = (name: string) => Number(new RegExp(`\\b${name}="(\\d+)"`).exec(suite)?.[1] ?? 0);
    const ignored = attribute("disabled") + attribute("skipped");
    const failed = attribute("failures") + attribute("errors");
    totals.ignored += ignored;
    totals.failed += failed;
    totals.passed += attribute("tests") - failed - ignored;
  }
  return totals;
}

async function runTests(title: string, args: string[], signal: AbortSignal): Promise<Totals> {
  console.log(`\n== ${title}`);
  const junit = await Deno.makeTempFile({ suffix: ".xml" });
  try {
    const child = new Deno.Command(Deno.execPath(), {
      args: ["test", "--allow-all", "--permit-no-files", `--junit-path=${junit}`, ...args],
    }).spawn();
    // SIGTERM lets a test remove its namespaces; SIGKILL ends what does not listen.
    const timers: ReturnType<typeof setTimeout>[] = [];
    const end = () => {
      child.kill("SIGTERM");
      timers.push(setTimeout(() => child.kill("SIGKILL"), 10_000));
    };
    signal.addEventListener("abort", end);
    const { code } = await child.status;
    signal.removeEventListener("abort", end);
    timers.forEach(clearTimeout);
    const totals = readJunit(await Deno.readTextFile(junit));
    // A module which does not load or throws between tests fails the run without being a test in the report.
    if (code !== 0 && totals.failed === 0) totals.failed = 1;
    return totals;
  } finally {
    await Deno.remove(junit);
  }
}

async function existing(paths: string[]): Promise<string[]> {
  const found: string[] = [];
  for (const path of paths) if (await Deno.stat(path).then(() => true, () => false)) found.push(path);
  return found;
}

/** The documents and modules with examples that can be run. */
async function documented(): Promise<string[]> {
  const found = ["README.md"];
  for await (const path of walkTypeScript(".")) {
    if (layerOf(path) !== null && /^\s*\* ```(ts|js)$/m.test(await Deno.readTextFile(path))) found.push(path);
  }
  return found;
}

async function main(args: string[]): Promise<number> {
  Deno.chdir(new URL("..", import.meta.url));
  await ensureCommands(COMMANDS);
  if (args.length === 0 && Deno.uid() !== 0) {
    console.error(
      "Tests make network namespaces, which needs root; run as root, or run: deno task test:unit",
    );
    return 1;
  }
  if (Deno.uid() === 0) await sweep();
  const signal = AbortSignal.timeout(DEADLINE);
  const runs: [string, string[]][] = args.length > 0 ? [["Selected", [...SANITIZERS, ...args]]] : [
    ["Unit tests", [
      ...SANITIZERS,
      ...await existing(["stack", "drivers", "net", "image", "examples", "scripts", "bench"]),
    ]],
    // An example is given every export of its module, of which it uses some: checked, it would have unused imports.
    ["Examples in the documentation", ["--doc", "--no-check", ...await documented()]],
    ["Tests across modules", [...SANITIZERS, "tests"]],
  ];
  const totals: Totals = { passed: 0, failed: 0, ignored: 0 };
  for (const [title, rest] of runs) {
    if (signal.aborted) break;
    const { passed, failed, ignored } = await runTests(title, rest, signal);
    totals.passed += passed;
    totals.failed += failed;
    totals.ignored += ignored;
  }
  const left = Deno.uid() === 0 ? await sweep() : [];
  if (left.length > 0) {
    console.error(`Tests left behind ${left.map((name) => `"${name}"`).join(", ")}`);
    totals.failed++;
  }
  if (signal.aborted) {
    console.error(`Tests did not end within ${DEADLINE / 60_000} minutes`);
    totals.failed++;
  }
  if (totals.ignored > 0) {
    console.error(`${totals.ignored} ignored; a test that does not run shows nothing`);
    if (Deno.env.get("CI") === "true") totals.failed += totals.ignored;
  }
  console.log(`\n${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed === 0 ? 0 : 1;
}

if (import.meta.main) {
  try {
    Deno.exit(await main(Deno.args));
  } catch (error) {
    if (!(error instanceof MissingPackages)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
