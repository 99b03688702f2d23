/**
 * What an idle established connection costs: two stacks on a cable of memory, connections between them that have each
 * carried a byte there and back, and the memory in use before and after. Each stack holds one end of each; the
 * figure is that of one end. Run with `--v8-flags=--expose-gc`; prints JSON.
 *
 * @module
 */

import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { Stack } from "../stack/stack.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";
import { heapInUse } from "./heap.ts";

const CONNECTIONS = 10_000, BATCH = 50;

const random = () => (Math.random() * 2 ** 32) | 0;
const [near, far] = MemoryDevice.pair({ queue: 1024 });
const client = new Stack({ random });
const server = new Stack({ random });
const clientInterface = client.addInterface(near, { addresses: [Cidr.parse("10.0.0.1/24")] });
const serverInterface = server.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
const target = IpAddress.parse("10.0.0.2");

class Handler implements ConnectionHandler {
  received = 0;
  closes = 0;
  readonly #echo: boolean;

  constructor(echo: boolean) {
    this.#echo = echo;
  }

  connected(connection: Connection): void {
    connection.write(HELLO, 0, 1);
  }

  receive(connection: Connection, bytes: Uint8Array<ArrayBuffer>, offset: number, length: number): number {
    this.received += length;
    if (this.#echo) connection.write(bytes, offset, length);
    return length;
  }

  finished(): void {}
  writable(): void {}

  closed(): void {
    this.closes++;
  }
}

const HELLO = new Uint8Array([7]);
const clients = new Handler(false), servers = new Handler(true);
const open: Connection[] = new Array(2 * CONNECTIONS).fill(null);
let count = 0, now = 0;

server.tcp.listen({ port: 7 }, {
  ready(listener) {
    for (let connection; (connection = listener.take()) !== null;) {
      connection.handler = servers;
      open[count++] = connection;
    }
  },
});

/** Lets `micros` pass in steps of a millisecond. */
function pass(micros: number): void {
  for (const end = now + micros; now < end; now += 1000) {
    near.poll(clientInterface, 1024, now);
    client.poll(now);
    far.poll(serverInterface, 1024, now);
    server.poll(now);
  }
}

function connect(total: number): void {
  for (let made = 0; made < total; made += BATCH) {
    for (let i = 0; i < BATCH; i++) open[count++] = client.tcp.connect({ address: target, port: 7 }, clients);
    pass(20_000);
  }
  pass(2_000_000);
}

// One batch first, so that what is made once a stack (and the compiled code) is not charged to connections.
connect(BATCH);
const warm = clients.received;
const before = heapInUse();
connect(CONNECTIONS - BATCH);
const after = heapInUse();

const made = clients.received - warm;
const established = open.reduce(
  (sum, connection) => sum + (connection?.state === State.Established ? 1 : 0),
  0,
);
if (
  made !== CONNECTIONS - BATCH || established !== 2 * CONNECTIONS || clients.closes + servers.closes !== 0
) {
  throw new Error(
    `Only ${made} connections carried a byte, ${established} ends of ${2 * CONNECTIONS} are established`,
  );
}
console.log(
  JSON.stringify({ "Idle established connection (10,000 of them), bytes": (after - before) / (2 * made) }),
);
