/**
 * Very many connections between two stacks on a cable of memory, in one process: each stack has one end of every one. What
 * is written on one is sent back.
 *
 * @module
 */

import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { Stack } from "../stack/stack.ts";
import { type Connection, type ConnectionHandler, State } from "../stack/tcp/api.ts";

/** Connections opened, or asked, in a turn. */
export const BATCH = 64;
/** Connections to one port: our own ports for one are 16,384. */
const PER_PORT = 10_000, FIRST_PORT = 7;
const BYTE = Uint8Array.of(7);

/** The two stacks. Time passes turn by turn. */
export class ManyConnections {
  /** The ends that ask. */
  readonly open: Connection[] = [];
  /** The ends that answer. */
  readonly taken: Connection[] = [];
  /** Bytes that came back. */
  answers = 0;
  readonly #turn: (now: number) => void;
  readonly #connect: (port: number) => Connection;
  /** Answers that were no answer, and connections that ended. */
  #wrong = 0;
  #now = 0;

  /** @param most Connections that there can be. */
  constructor(most: number) {
    const random = () => (Math.random() * 2 ** 32) | 0;
    const [near, far] = MemoryDevice.pair({ queue: 1024 });
    const client = new Stack({ random }), server = new Stack({ random });
    const clientInterface = client.addInterface(near, { addresses: [Cidr.parse("10.0.0.1/24")] });
    const serverInterface = server.addInterface(far, { addresses: [Cidr.parse("10.0.0.2/24")] });
    const address = IpAddress.parse("10.0.0.2");
    const asker: ConnectionHandler = {
      connected() {},
      receive: (_connection, bytes, offset, length) => {
        if (length !== 1 || bytes[offset] !== BYTE[0]) this.#wrong++;
        this.answers++;
        return length;
      },
      finished() {},
      writable() {},
      closed: () => void this.#wrong++,
    };
    const answerer: ConnectionHandler = {
      ...asker,
      receive: (connection, bytes, offset, length) => connection.write(bytes, offset, length),
    };
    for (let port = 0; port * PER_PORT < most; port++) {
      server.tcp.listen({ port: FIRST_PORT + port, backlog: 1024 }, {
        ready: (listener) => {
          for (let connection; (connection = listener.take()) !== null;) {
            connection.handler = answerer;
            this.taken.push(connection);
          }
        },
      });
    }
    this.#connect = (port) => client.tcp.connect({ address, port }, asker);
    this.#turn = (now) => {
      client.poll(now);
      far.poll(serverInterface, 1024, now);
      server.poll(now);
      near.poll(clientInterface, 1024, now);
      client.poll(now);
    };
  }

  /** Lets `micros` pass and both stacks do what is due. */
  turn(micros: number): void {
    this.#turn(this.#now += micros);
  }

  /** Lets two seconds pass. */
  rest(): void {
    for (let i = 0; i < 100; i++) this.turn(20_000);
  }

  /** Opens connections until there are `total`. @returns µs a connection, both ends. */
  connect(total: number): number {
    const { open } = this;
    const before = open.length, start = performance.now();
    while (open.length < total) {
      for (let i = 0; i < BATCH && open.length < total; i++) {
        open.push(this.#connect(FIRST_PORT + Math.floor(open.length / PER_PORT)));
      }
      for (let i = 0; i < 4; i++) this.turn(100);
    }
    return (performance.now() - start) * 1000 / (total - before);
  }

  /** Sends a byte on the connection at `index`. */
  ask(index: number): void {
    this.open[index]!.write(BYTE, 0, 1);
  }

  /** @throws {Error} Unless both ends of every connection are established, and `answers` right answers came. */
  expect(answers: number): void {
    const established = [this.open, this.taken].map((ends) =>
      ends.reduce((sum, { state }) => sum + (state === State.Established ? 1 : 0), 0)
    );
    if (established.some((count) => count !== this.open.length)) {
      throw new Error(`Only ${established} ends of ${this.open.length} connections are established`);
    }
    this.expectAnswers(answers);
  }

  /** @throws {Error} Unless `answers` right answers came. */
  expectAnswers(answers: number): void {
    if (this.answers !== answers || this.#wrong !== 0) {
      throw new Error(`Asked ${answers}, answered ${this.answers}, wrong ${this.#wrong}`);
    }
  }
}
