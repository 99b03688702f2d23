/** VLANs, one in another, jumbo frames and bridges, with a Linux in a virtual machine as the peer. */

import assert from "node:assert/strict";
import { join } from "node:path";
import { BridgeDevice } from "../drivers/bridge.ts";
import { MemoryDevice } from "../drivers/memory.ts";
import { QemuDevice } from "../drivers/qemu.ts";
import { Network } from "../net/mod.ts";
import type { InterfaceSpec } from "../net/interface_spec.ts";
import type { Device } from "../stack/device.ts";
import { LinuxPeer } from "./harness/linux_peer.ts";
import { requireTools } from "./harness/tools.ts";

/** A network of ours, and a Linux at the other end of its link. */
class Link implements AsyncDisposable {
  private constructor(readonly network: Network, readonly peer: LinuxPeer, readonly folder: string) {}

  /** @param wrap Makes of the device to the peer the one that our network is on. */
  static async start(
    mtu: number,
    spec: Omit<InterfaceSpec, "device">,
    modules: string[],
    wrap: (device: Device) => Device = (device) => device,
  ): Promise<Link> {
    await requireTools("qemu-system-x86_64");
    const folder = await Deno.makeTempDir({ prefix: "ethox-vlan-" });
    await using made = new AsyncDisposableStack();
    made.defer(() => Deno.remove(folder, { recursive: true }));
    const socket = join(folder, "link");
    const abort = new AbortController();
    const opening = QemuDevice.listen(socket, { mtu, signal: abort.signal });
    let peer: LinuxPeer;
    try {
      peer = made.use(await LinuxPeer.start({ socket, modules }));
    } catch (error) {
      abort.abort();
      await opening.catch(() => {});
      throw error;
    }
    const network = await Network.open({ interfaces: [{ device: wrap(await opening), ...spec }] });
    made.move();
    return new Link(network, peer, folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.network[Symbol.asyncDispose]();
    await this.peer[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Both sides ping each other, and move `bytes` both ways over TCP. */
async function exchange({ network, peer }: Link, own: string, theirs: string, mtu: number, bytes: number) {
  // Addresses of ours are used when nobody has objected for a second.
  await peer.run(`for i in 1 2 3 4 5 6 7 8 9 10; do ping -q -c 1 -W 2 ${own} >/dev/null && break; done`);
  const header = own.includes(":") ? 48 : 28;
  for (const size of [0, 56, mtu - header, mtu - header + 1, 20_000]) {
    const text = await peer.run(`ping -q -c 1 -W 10 -s ${size} ${own}`);
    assert.match(text, / 0% packet loss/, `${size} bytes: ${text}`);
  }
  let answered = 0;
  for await (const { rtt } of network.ping(theirs, { count: 3, interval: 10, timeout: 10_000, size: 1000 })) {
    if (rtt !== null) answered++;
  }
  assert.equal(answered, 3);
  const content = crypto.getRandomValues(new Uint8Array(Math.min(bytes, 65_536)));
  const body = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += content.length) {
    body.set(content.subarray(0, Math.min(content.length, bytes - at)), at);
  }
  const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", body)).toHex();
  const host = own.includes(":") ? `[${own}]` : own;
  const server = network.serve({ port: 8080, hostname: own, onListen() {} }, () => new Response(body));
  try {
    const hash = await peer.run(`wget -q -O - http://${host}:8080/ | sha256sum`, 120_000);
    assert.equal(hash.split(" ")[0], sum);
  } finally {
    await server.shutdown();
  }
  const target = theirs.includes(":") ? `[${theirs}]` : theirs;
  await peer.run(`mkdir -p /www && dd if=/dev/zero of=/www/file bs=1024 count=${bytes >> 10} 2>/dev/null`);
  await peer.run(`httpd -p ${target}:8081 -h /www`);
  const response = await network.fetch(`http://${target}:8081/file`);
  assert.equal((await response.arrayBuffer()).byteLength, bytes >> 10 << 10);
}

Deno.test("A Linux peer exchanges pings and TCP with us over VLANs, 802.1Q and one in another, MTU 1500", async () => {
  await using link = await Link.start(1500, {
    addresses: ["10.60.0.1/24"],
    vlans: [
      { id: 5, addresses: ["10.60.5.1/24", "fd60:5::1/64"], priority: 3 },
      {
        id: 100,
        protocol: "802.1ad",
        addresses: ["10.60.100.1/24"],
        vlans: [{ id: 7, addresses: ["10.60.7.1/24", "fd60:7::1/64"] }],
      },
    ],
  }, ["8021q"]);
  const { network, peer } = link;
  await peer.run("ip link set eth0 up && ip addr add 10.60.0.2/24 dev eth0");
  await peer.run("ip link add link eth0 name customer type vlan id 5 && ip link set customer up");
  await peer.run("ip addr add 10.60.5.2/24 dev customer && ip addr add fd60:5::2/64 dev customer");
  await peer.run(
    "ip link add link eth0 name provider type vlan protocol 802.1ad id 100 && ip link set provider up",
  );
  await peer.run("ip addr add 10.60.100.2/24 dev provider");
  await peer.run("ip link add link provider name inner type vlan id 7 && ip link set inner mtu 1496 up");
  await peer.run("ip addr add 10.60.7.2/24 dev inner && ip addr add fd60:7::2/64 dev inner");
  await exchange(link, "10.60.0.1", "10.60.0.2", 1500, 300_000);
  await exchange(link, "10.60.5.1", "10.60.5.2", 1500, 300_000);
  await exchange(link, "fd60:5::1", "fd60:5::2", 1500, 300_000);
  await exchange(link, "10.60.100.1", "10.60.100.2", 1500, 100_000);
  await exchange(link, "10.60.7.1", "10.60.7.2", 1496, 300_000);
  await exchange(link, "fd60:7::1", "fd60:7::2", 1496, 300_000);
  // A VLAN that we have not: counted, and not answered.
  const before = network.interface.vlans.counters.dropped.unknownVlan;
  await peer.run("ip link add link eth0 name other type vlan id 6 && ip link set other up");
  await peer.run("ip addr add 10.60.6.2/24 dev other");
  const { code } = await peer.attempt("ping -q -c 1 -W 1 10.60.6.1");
  assert.equal(code, 1);
  assert.ok(network.interface.vlans.counters.dropped.unknownVlan > before);
  const seen = await peer.run("cat /proc/net/vlan/config");
  assert.match(seen, /customer +\| 5 +\| eth0/);
});

for (const mtu of [9000, 65521]) {
  Deno.test(`A Linux peer exchanges pings and TCP with us over VLANs with an MTU of ${mtu}`, async () => {
    await using link = await Link.start(mtu, {
      addresses: ["10.61.0.1/24"],
      vlans: [{
        id: 4094,
        addresses: ["10.61.1.1/24", "fd61::1/64"],
        vlans: [{ id: 1, addresses: ["10.61.2.1/24"] }],
      }],
    }, ["8021q"]);
    const { peer } = link;
    await peer.run(`ip link set eth0 mtu ${mtu} up && ip addr add 10.61.0.2/24 dev eth0`);
    await peer.run(`ip link add link eth0 name jumbo type vlan id 4094 && ip link set jumbo mtu ${mtu} up`);
    await peer.run("ip addr add 10.61.1.2/24 dev jumbo && ip addr add fd61::2/64 dev jumbo");
    await peer.run(`ip link add link jumbo name inner type vlan id 1 && ip link set inner mtu ${mtu - 4} up`);
    await peer.run("ip addr add 10.61.2.2/24 dev inner");
    await exchange(link, "10.61.0.1", "10.61.0.2", mtu, 1_000_000);
    await exchange(link, "10.61.1.1", "10.61.1.2", mtu, 1_000_000);
    await exchange(link, "fd61::1", "fd61::2", mtu, 1_000_000);
    await exchange(link, "10.61.2.1", "10.61.2.2", mtu - 4, 1_000_000);
  });
}

Deno.test("A bridge of ours beside one of Linux that speaks spanning tree: its messages are counted and go no further", async () => {
  const [port, station] = MemoryDevice.pair({
    macs: [Uint8Array.of(2, 0, 0, 0, 1, 1), Uint8Array.of(2, 0, 0, 0, 1, 2)],
  });
  const bridge = (device: Device) => new BridgeDevice([device, port]);
  await using link = await Link.start(1500, { addresses: ["10.62.0.1/24"] }, ["bridge"], bridge);
  const { network, peer } = link;
  await using far = await Network.open({ device: station, addresses: ["10.62.0.3/24"] });
  await peer.run("brctl addbr br0 && cd /sys/class/net/br0/bridge && echo 1 >stp_state");
  await peer.run("cd /sys/class/net/br0/bridge && echo 200 >forward_delay && echo 100 >hello_time");
  await peer.run("brctl addif br0 eth0 && ip link set eth0 up && ip link set br0 up");
  await peer.run("ip addr add 10.62.0.2/24 dev br0");
  // Its port listens and learns for some seconds before it forwards.
  for (const address of ["10.62.0.1", "10.62.0.3"]) {
    await peer.run(
      `for i in 1 2 3 4 5 6 7 8 9 10; do ping -q -c 1 -W 2 ${address} >/dev/null && break; done`,
    );
    const text = await peer.run(`ping -q -c 1 -W 10 -s 1472 ${address}`);
    assert.match(text, / 0% packet loss/);
  }
  const { llc } = network.interface.counters;
  for (let attempt = 0; attempt < 300 && llc.spanningTree === 0; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.ok(llc.spanningTree > 0, peer.console);
  // What went on to the other port came from the peer's stack, and not from its bridge.
  assert.equal(far.interface.counters.llc.spanningTree, 0);
  assert.equal(far.interface.counters.dropped.notEthernet2, 0);
  assert.ok(far.interface.counters.delivered > 0);
  assert.match(await peer.run("cat /proc/net/arp"), /02:00:00:00:01:02/);
});
