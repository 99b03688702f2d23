/**
 * What a figure depends on, printed with it.
 *
 * @module
 */

import type { Namespace } from "../tests/harness/namespace.ts";
import { run } from "../tests/harness/process.ts";

/** Describes machine, kernel and settings, one `name: value` a line. */
export async function describeEnvironment(namespace: Namespace): Promise<Record<string, string>> {
  const cpuinfo = await Deno.readTextFile("/proc/cpuinfo");
  const model = /^model name\s*:\s*(.*)$/m.exec(cpuinfo)?.[1] ?? Deno.build.arch;
  const memory = Math.round(Deno.systemMemoryInfo().total / 2 ** 30);
  const control = await namespace.run("cat", ["/proc/sys/net/ipv4/tcp_congestion_control"]);
  const revision = await run("git", ["describe", "--always", "--dirty"], {
    cwd: new URL("..", import.meta.url).pathname,
  }).then((result) => result.stdout.trim(), () => "unknown");
  return {
    revision,
    deno: `${Deno.version.deno}, V8 ${Deno.version.v8}`,
    kernel: `${Deno.build.os} ${Deno.osRelease()} ${Deno.build.arch}`,
    processor: `${navigator.hardwareConcurrency} × ${model}, ${memory} GiB`,
    "congestion control": `${control.stdout.trim()} (kernel)`,
    load: Deno.loadavg().map((value) => value.toFixed(2)).join(" "),
  };
}
