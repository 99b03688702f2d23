import assert from "node:assert/strict";
import { Cidr, IpAddress } from "./ip/address.ts";
import { IcmpError } from "./ip/path.ts";
import { RouteKind } from "./ip/routes.ts";
import { Host } from "./testing/pair.ts";
import { Router } from "./testing/router.ts";

/** A host on the router's left link, which is its way to everywhere. */
class Guest {
  readonly router = new Router({ right: { mtu: 1300 } });
  readonly host = new Host(10, "10.0.0.2/24", {}, {}, {
    duplicates: "off",
    routers: false,
    linkLocal: false,
  });
  now = 2_000_000;

  constructor() {
    const { stack, interface: by } = this.host;
    by.addAddress(Cidr.parse("fd00::2/64"));
    for (const [destination, gateway] of [["0.0.0.0/0", "10.0.0.1"], ["::/0", "fd00::1"]] as const) {
      const address = IpAddress.parse(gateway);
      (address.version === 4 ? by.arp : by.nd!).neighbours.setPermanent(address, 0x0200, 1);
      stack.addRoute({ destination: Cidr.parse(destination), gateway: address, interface: by });
    }
    this.router.stack.addRoute({ destination: Cidr.parse("192.0.2.128/25"), kind: RouteKind.Prohibit });
    this.router.stack.addRoute({ destination: Cidr.parse("2001:db8:1::/48"), kind: RouteKind.Prohibit });
    this.run();
  }

  /** Lets frames pass until nothing moves, then time. */
  run(): void {
    const { host, router } = this;
    for (let round = 0; round < 20; round++) {
      host.stack.poll(this.now += 1000);
      router.stack.poll(this.now);
      for (const { bytes } of host.device.take()) router.leftDevice.deliver(router.left, bytes);
      for (const { bytes } of router.leftDevice.take()) host.device.deliver(host.interface, bytes);
    }
    router.rightDevice.take();
  }
}

/** Where there is no way, where it is forbidden to go, who is silent, and who is there. */
const PLACES = [
  { nowhere: "192.0.2.1", forbidden: "192.0.2.200", silent: "10.0.1.99", there: "10.0.1.2" },
  { nowhere: "2001:db8::1", forbidden: "2001:db8:1::1", silent: "fd01::99", there: "fd01::2" },
] as const;

for (const { nowhere, forbidden, silent, there } of PLACES) {
  const version = IpAddress.parse(there).version;

  Deno.test(`What a router says of an IPv${version} datagram comes to the socket that has sent it`, () => {
    const guest = new Guest();
    const told: string[] = [];
    const bind = (name: string) =>
      guest.host.stack.udp.bind({}, {
        receive: () => {},
        error: (kind, remote, _port, mtu) => void told.push(`${name}: ${IcmpError[kind]} ${remote} ${mtu}`),
      });
    const socket = bind("own");
    bind("other");
    const send = (to: string, length: number, hopLimit = 0) => {
      socket.send(new Uint8Array(length), 0, length, IpAddress.parse(to), 9, { hopLimit });
      guest.run();
      return told.splice(0);
    };
    assert.deepEqual(send(nowhere, 9), [`own: NetworkUnreachable ${nowhere} 0`]);
    assert.deepEqual(send(forbidden, 9), [`own: Prohibited ${forbidden} 0`]);
    assert.deepEqual(send(there, 9, 1), [`own: TimeExceeded ${there} 0`]);
    socket.dontFragment = true;
    assert.deepEqual(send(there, 1400), [`own: PacketTooBig ${there} 1300`]);
    assert.equal(guest.host.stack.path(IpAddress.parse(there))!.mtu, 1300);
    assert.deepEqual(send(silent, 9), []);
    for (let second = 0; second < 10; second++) {
      guest.now += 1_000_000;
      guest.run();
    }
    assert.deepEqual(told, [`own: HostUnreachable ${silent} 0`]);
    assert.deepEqual(guest.host.errors, []);
  });

  Deno.test(`What a router says of an IPv${version} echo or SYN ends the one that it is about`, () => {
    const guest = new Guest();
    const told: string[] = [];
    const session = guest.host.stack.icmp.echo({ destination: IpAddress.parse(there) }, {
      reply: () => {},
      error: (_session, sequence, kind) => void told.push(`echo ${sequence} ${IcmpError[kind]}`),
    });
    session.send(3, new Uint8Array(8), 0, 8, 1);
    const connect = (to: string) =>
      guest.host.stack.tcp.connect({ address: IpAddress.parse(to), port: 80 }, {
        connected: () => void told.push("connected"),
        receive: () => 0,
        writable: () => {},
        finished: () => {},
        closed: (_connection, error) => void told.push(`${to} ${error?.code}`),
      });
    connect(nowhere);
    connect(forbidden);
    connect(there);
    guest.run();
    assert.deepEqual(
      told.sort(),
      [
        `${forbidden} HostUnreachable`,
        `${nowhere} NetworkUnreachable`,
        "echo 3 TimeExceeded",
      ].sort(),
    );
  });
}
