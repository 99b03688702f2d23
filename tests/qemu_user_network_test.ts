import assert from "node:assert/strict";
import { Network } from "../net/mod.ts";
import { AddressState } from "../stack/ip/own_address.ts";
import { Process } from "./harness/process.ts";
import { requireTools } from "./harness/tools.ts";

Deno.test("Network.open() with a device alone joins QEMU's user network: 10.0.2.15 and an address of fec0::/64", async () => {
  await requireTools("qemu-system-x86_64");
  const directory = await Deno.makeTempDir();
  try {
    const path = `${directory}/socket`;
    // QEMU without a guest: its user network at one end of the socket, and we at the other.
    await using _qemu = new Process("qemu-system-x86_64", [
      ...["-machine", "none", "-display", "none", "-monitor", "none"],
      ...["-netdev", `stream,id=s,server=on,addr.type=unix,addr.path=${path}`, "-netdev", "user,id=u"],
      ...["-netdev", "hubport,id=a,hubid=0,netdev=s", "-netdev", "hubport,id=b,hubid=0,netdev=u"],
    ]);
    for (let i = 0; i < 600 && await Deno.stat(path).then(() => false, () => true); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await using network = await Network.open({ device: `qemu:${path}` });
    const { configuration, interface: by } = network;
    const sure = () =>
      by.nd!.addresses.find(({ address, state }) =>
        state === AddressState.Preferred && `${address}`.startsWith("fec0:")
      );
    for (let i = 0; i < 600 && sure() === undefined; i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert.ok(configuration.addresses.includes("10.0.2.15/24"), configuration.addresses.join(", "));
    assert.match(`${sure()?.cidr}`, /^fec0::.*\/64$/);
    assert.ok(configuration.routes.some((line) => line.startsWith("0.0.0.0/0 via 10.0.2.2 ")));
    assert.ok(configuration.routes.some((line) => line.startsWith("::/0 via fe80::2 ")));
    assert.ok(configuration.nameServers.includes("10.0.2.3"), configuration.nameServers.join(", "));
    assert.equal(configuration.lease()?.server.toString(), "10.0.2.2");
    // Its router answers over both versions.
    for (const address of ["10.0.2.2", "fec0::2"]) {
      for await (const { rtt } of network.ping(address, { count: 2, interval: 10, timeout: 20_000 })) {
        assert.notEqual(rtt, null, address);
      }
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
