import assert from "node:assert/strict";
import { type End, malformedFrames, mutatedFrames } from "../fuzz/malformed_frames.ts";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";

interface Layer {
  received: number;
  delivered: number;
  dropped: Record<string, number>;
}

const HOST = "10.82.0.2", KERNEL = "10.82.0.1";

function bytesOf(address: string, separator: string, radix: number): Uint8Array {
  return Uint8Array.from(address.split(separator), (part) => parseInt(part, radix));
}

Deno.test("A host on a TAP counts every malformed frame that comes, and lives", async () => {
  await requireTools("ip", "nc", "ping");
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { addresses: [`${KERNEL}/24`] });
  await using host = namespace.deno("tests/interop/counting_host.ts", ["tap0", `${HOST}/24`], {
    input: "piped",
    deadline: 90_000,
  });
  await host.printed(/^listening$/m);
  const ping = () => namespace.run("ping", ["-q", "-c", "3", "-i", "0.02", "-W", "5", HOST]);
  await ping();

  const link = JSON.parse(await namespace.ip("-json", "link", "show", "tap0")) as { address: string }[];
  const neighbours = JSON.parse(await namespace.ip("-json", "neighbour", "show", HOST)) as {
    lladdr: string;
  }[];
  const victim: End = { mac: bytesOf(neighbours[0]?.lladdr ?? "", ":", 16), ip: bytesOf(HOST, ".", 10) };
  // Another station than the kernel: what it is answered goes to nobody.
  const mac = bytesOf(link[0]?.address ?? "", ":", 16);
  const attacker: End = { mac: mac.with(5, (mac[5] ?? 0) ^ 1), ip: bytesOf("10.82.0.99", ".", 10) };

  const frames = [
    ...malformedFrames(victim, attacker).map(({ frame }) => frame),
    ...mutatedFrames(victim, attacker, 20_000, 20260102),
  ];
  const input = frames.map((frame) => frame.toHex()).join("\n");
  const sent = await namespace.deno("tests/harness/programs/inject.ts", ["tap0"], { input }).ended;
  assert.equal(sent.stdout, `sent ${frames.length}\n`, sent.stderr);
  await ping();
  const echo = await namespace.run("nc", ["-N", "-w", "5", HOST, "7"], { input: "still here\n" });
  assert.equal(echo.stdout, "still here\n");

  await host.write("\n");
  const [, json = ""] = await host.printed(/^counters (.*)$/m);
  const { device, tcp, handlerErrors, v6: _v6, sizes: _sizes, ...layers } = JSON.parse(json) as
    & Record<"link" | "arp" | "ipv4" | "icmp" | "udp", Layer>
    & { v6: unknown; sizes: unknown }
    & { device: { receivedFrames: number }; tcp: Record<string, number>; handlerErrors: number };
  // The kernel's queue in front of a TAP holds 1000 frames: what did not fit never came.
  assert.ok(device.receivedFrames > 1000, json);
  assert.equal(handlerErrors, 0);
  for (const [name, { received, delivered, dropped }] of Object.entries(layers)) {
    const reasons = Object.values(dropped).reduce((total, count) => total + count, 0);
    assert.equal(received, delivered + reasons, `${name}: ${JSON.stringify(dropped)}`);
    assert.ok(reasons > 0, `${name} dropped nothing`);
  }
  assert.ok((tcp["badChecksum"] ?? 0) > 0 && (tcp["badHeader"] ?? 0) > 0, json);
  assert.equal(host.stderr, "");
});
