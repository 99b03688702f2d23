/**
 * Runs in a guest with two virtio-net devices on one link: the suite that every device passes. The exit status is
 * the number of cases that failed.
 */

import { conformanceCases } from "../../drivers/device_conformance.ts";
import { VirtioNet } from "../../drivers/virtio_net.ts";
import { findVirtioNet } from "../../drivers/virtio/uio.ts";

const [first, second] = findVirtioNet();
let failed = 0;
let offloads = "";
for (const { name, run } of conformanceCases) {
  const started = performance.now();
  const pair = { a: VirtioNet.open(first), b: VirtioNet.open(second) };
  offloads = `offloads ${pair.a.offloads} ${pair.b.offloads}`;
  let result = "ok";
  try {
    await run(pair);
  } catch (error) {
    failed++;
    result = `FAILED ${Deno.inspect(error)}`;
  }
  pair.a.close();
  pair.b.close();
  console.log(`case ${name} (${(performance.now() - started).toFixed(0)} ms): ${result}`);
}
console.log(offloads);
console.log(`${conformanceCases.length} cases, ${failed} failed`);
Deno.exitCode = failed;
