import assert from "node:assert/strict";
import { IpAddress } from "../ip/address.ts";
import { Pair } from "../testing/pair.ts";
import { sourceOf, sourcePortOf, type UdpSocket } from "../udp/socket.ts";
import { MessageType, Option } from "../wire/dhcpv6.ts";
import { Dhcpv6Client } from "./client.ts";
import { type Dhcpv6Options, Dhcpv6State } from "./options.ts";

const SECOND = 1_000_000;
const ADDRESS = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9];

function option(code: number, value: ArrayLike<number>): number[] {
  return [code >> 8, code & 255, value.length >> 8, value.length & 255, ...Array.from(value)];
}

/** A client on one end of a wire, and a server on the other. */
class Exchange {
  readonly pair = new Pair({}, {}, ["10.0.0.1/24", "10.0.0.2/24"], {});
  readonly client: Dhcpv6Client;
  readonly kinds: string[] = [];
  answers = true;
  rapid = false;
  status = 0;
  lifetime = 100;
  changes = 0;

  constructor(options: Dhcpv6Options = {}) {
    const { a, b } = this.pair;
    this.client = new Dhcpv6Client(a.interface, options, () => void this.changes++);
    const socket: UdpSocket = b.stack.udp.bind({ port: 547 }, {
      receive: (packet) => {
        const bytes = packet.bytes.slice(packet.offset, packet.end);
        this.kinds.push(MessageType[bytes[0]!]!);
        if (!this.answers) return;
        const answer = this.#answer(bytes);
        if (answer !== null) socket.send(answer, 0, answer.length, sourceOf(packet), sourcePortOf(packet));
      },
    });
    socket.groups.join(IpAddress.parse("ff02::1:2"), { interface: b.interface });
    this.pair.pass(3 * SECOND);
  }

  /** Kinds of the messages since the last call. */
  take(): string {
    return this.kinds.splice(0).join(" ");
  }

  #answer(bytes: Uint8Array): Uint8Array<ArrayBuffer> | null {
    const type = bytes[0]! as MessageType;
    const first = type === MessageType.Solicit && !this.rapid;
    const client = bytes.slice(8, 8 + (bytes[6]! << 8 | bytes[7]!));
    const seconds = [0, 0, this.lifetime >> 8, this.lifetime & 255];
    const lease = option(Option.IaAddress, [...ADDRESS, ...seconds, ...seconds]);
    const out = [first ? MessageType.Advertise : MessageType.Reply, bytes[1]!, bytes[2]!, bytes[3]!];
    out.push(...option(Option.ClientId, client), ...option(Option.ServerId, [5, 5]));
    if (this.rapid) out.push(...option(Option.RapidCommit, []));
    if (this.status !== 0) out.push(...option(Option.StatusCode, [0, this.status]));
    else if (type !== MessageType.InformationRequest) {
      out.push(...option(Option.IaNa, [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, ...lease]));
    }
    out.push(...option(Option.NameServers, ADDRESS));
    return new Uint8Array(out);
  }
}

Deno.test("Dhcpv6Client asks, is given an address, and renews it at half of its time", () => {
  const exchange = new Exchange();
  exchange.client.start();
  exchange.pair.pass(3 * SECOND);
  assert.equal(exchange.take(), "Solicit Request");
  assert.equal(exchange.client.state, Dhcpv6State.Bound);
  assert.deepEqual(exchange.client.given.addresses.map(({ network }) => `${network}`), ["2001:db8::9/128"]);
  exchange.pair.pass(50 * SECOND);
  assert.equal(exchange.take(), "Renew");
  exchange.answers = false;
  exchange.pair.pass(85 * SECOND);
  assert.match(exchange.take(), /^(Renew )+(Rebind ?)+$/);
  exchange.pair.pass(30 * SECOND);
  assert.equal(exchange.client.given.addresses.length, 0);
  assert.equal(exchange.client.counters.expired, 1);
});

Deno.test("Dhcpv6Client takes an answer without an offer", () => {
  const exchange = new Exchange();
  exchange.rapid = true;
  exchange.client.start();
  exchange.pair.pass(3 * SECOND);
  assert.equal(exchange.take(), "Solicit");
  assert.equal(exchange.client.given.addresses.length, 1);
});

Deno.test("Dhcpv6Client asks for information alone", () => {
  const exchange = new Exchange();
  exchange.client.inform();
  exchange.pair.pass(3 * SECOND);
  assert.equal(exchange.take(), "InformationRequest");
  assert.deepEqual(exchange.client.given.nameServers.map(String), ["2001:db8::9"]);
  exchange.pair.pass(3600 * SECOND);
  assert.equal(exchange.take(), "");
});

Deno.test("Dhcpv6Client tells the server when it goes, and when an address is somebody else's", () => {
  const exchange = new Exchange();
  exchange.client.start();
  exchange.pair.pass(3 * SECOND);
  exchange.take();
  exchange.client.decline(IpAddress.parse("2001:db8::9"));
  exchange.pair.pass(SECOND);
  assert.equal(exchange.take(), "Decline");
  exchange.pair.pass(12 * SECOND);
  assert.equal(exchange.take(), "Solicit Request");
  exchange.client.stop(true);
  exchange.pair.pass(SECOND);
  assert.equal(exchange.take(), "Release");
});

Deno.test("Dhcpv6Client asks less and less while nobody answers", () => {
  const exchange = new Exchange();
  exchange.answers = false;
  exchange.client.start();
  exchange.pair.pass(1000 * SECOND);
  const { length } = exchange.kinds;
  assert.ok(length >= 8 && length <= 12, `${length} solicitations`);
});
