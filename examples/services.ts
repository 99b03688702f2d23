/**
 * The small services of old: echo (7, TCP and UDP), discard (9), character generator (19), and HTTP "hello" (80).
 *
 *     ip tuntap add dev tap0 mode tap vnet_hdr && ip addr add 10.0.0.1/24 dev tap0 && ip link set tap0 up
 *     deno task example services --device tap:tap0 --address 10.0.0.2/24
 *     nc 10.0.0.2 7
 *
 * Echo, discard and generator are written on the callbacks of the stack: what comes is seen where the device has put
 * it, and nothing is copied but into the ring of what is to be sent.
 *
 * @module
 */

import type { Bytes } from "../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../stack/tcp/api.ts";
import type { Stack } from "../stack/stack.ts";
import { sourcePortOf } from "../stack/udp/socket.ts";
import { main } from "./options.ts";

/** What the services have in common: each connection gets one object. */
abstract class Service implements ConnectionHandler {
  connected(): void {}

  abstract receive(connection: Connection, bytes: Bytes, offset: number, length: number): number;

  writable(_connection: Connection): void {}

  finished(connection: Connection): void {
    connection.close();
  }

  closed(): void {}
}

/** RFC 862. What can't be sent yet is not taken: it stays with the stack, and holds the peer back. */
class Echo extends Service {
  receive(connection: Connection, bytes: Bytes, offset: number, length: number): number {
    return connection.write(bytes, offset, length);
  }

  override writable(connection: Connection): void {
    connection.resume();
  }
}

/** RFC 863. */
class Discard extends Service {
  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    return length;
  }
}

/** The 95 printing characters in lines of 72, each line one character further; several rounds of it. */
const CHARACTERS = generateCharacters(10);

function generateCharacters(rounds: number): Bytes {
  const bytes = new Uint8Array(rounds * 95 * 74);
  for (let line = 0; line < rounds * 95; line++) {
    for (let i = 0; i < 72; i++) bytes[line * 74 + i] = 32 + (line + i) % 95;
    bytes.set([13, 10], line * 74 + 72);
  }
  return bytes;
}

/** RFC 864: sends as fast as the peer takes it, and discards what comes. */
class Generate extends Discard {
  #at = 0;

  override writable(connection: Connection): void {
    for (;;) {
      const left = CHARACTERS.length - this.#at;
      const written = connection.write(CHARACTERS, this.#at, left);
      this.#at = (this.#at + written) % CHARACTERS.length;
      if (written < left) return;
    }
  }
}

function serve(stack: Stack, port: number, make: () => Service): void {
  stack.tcp.listen({ port }, {
    ready(listener) {
      for (let connection; (connection = listener.take()) !== null;) {
        const service = make();
        connection.handler = service;
        // What came before there was a handler is offered now.
        connection.resume();
        service.writable(connection);
      }
    },
  });
}

/** Ports whose services answer whatever they are sent: two of them would never stop talking to each other. */
const CHATTY = new Set([7, 13, 17, 19]);

await main({
  name: "services",
  summary: "Serves echo, discard, character generator and HTTP hello.",
}, async ({ network, signal }) => {
  const { stack } = network;
  serve(stack, 7, () => new Echo());
  serve(stack, 9, () => new Discard());
  serve(stack, 19, () => new Generate());
  stack.udp.bind({ port: 7 }, {
    receive(packet, socket) {
      if (!CHATTY.has(sourcePortOf(packet))) socket.answer(packet, packet.end - packet.offset);
    },
  });
  const headers = { "content-type": "text/plain" };
  const server = network.serve({ port: 80, onListen: () => {} }, () => new Response("hello\n", { headers }));
  const addresses = network.interface.addresses.map((cidr) => cidr.address).join(" and ");
  console.log(`Listening on ${addresses}: echo 7 (TCP, UDP), discard 9, character generator 19, HTTP 80`);
  signal.addEventListener("abort", () => server.close());
  await server.finished;
});
