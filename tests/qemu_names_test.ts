/** Two guests on one link, without any server: they find each other by name and speak HTTP. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { DEFAULT_CONFIG, type GuestConfig } from "../image/config.ts";
import { Guest } from "../image/run.ts";
import { TestImage } from "./harness/guest.ts";
import { requireTools } from "./harness/tools.ts";

/** Longest time for both boots under software emulation on a busy machine, in ms. */
const DEADLINE = 240_000;

/** A guest that has no address but those that it makes for itself. */
function alone(config: Partial<GuestConfig>): GuestConfig {
  return { ...DEFAULT_CONFIG, addresses: [], gateway: "", ...config };
}

Deno.test("Two guests find each other by IPv6 link-local address and name, and speak HTTP", async () => {
  await requireTools("qemu-system-x86_64");
  await using server = await TestImage.build("examples/http_echo.ts");
  await using client = await TestImage.build("examples/curl.ts");
  const directory = await Deno.makeTempDir({ prefix: "ethox-names-" });
  const path = join(directory, "link");
  const consoles: [string[], string[]] = [[], []];
  const found = Promise.withResolvers<void>();
  try {
    await using first = await Guest.start({
      image: server.directory,
      config: alone({ hostname: "alpha", mac: "52:54:00:00:aa:01" }),
      network: { kind: "none" },
      // The runner joins links, it makes none: this end is the one that waits.
      extra: [
        "-netdev",
        `stream,id=net0,server=on,addr.type=unix,addr.path=${path}`,
        "-device",
        "virtio-net-pci,netdev=net0,disable-legacy=on,romfile=,mac=52:54:00:00:aa:01",
      ],
      console(line) {
        consoles[0].push(line);
        if (/Found as alpha\.local/.test(line)) found.resolve();
      },
    });
    const timer = setTimeout(() => first.stop(), DEADLINE);
    try {
      await Promise.race([found.promise, first.status]);
      await using second = await Guest.start({
        image: client.directory,
        config: alone({ mac: "52:54:00:00:aa:02", args: ["http://alpha.local/"] }),
        network: { kind: "socket", path },
        console: (line) => consoles[1].push(line),
      });
      const patience = setTimeout(() => second.stop(), DEADLINE);
      const status = await second.status;
      clearTimeout(patience);
      const said = consoles[1].join("\n");
      assert.equal(status, 0, [...consoles[0], ...consoles[1]].join("\n"));
      assert.match(said, /"host": "alpha\.local"/);
      assert.match(said, /"local": "fe80::/);
    } finally {
      clearTimeout(timer);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
