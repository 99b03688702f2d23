import assert from "node:assert/strict";
import { Recording, TcpPair } from "../testing/tcp_pair.ts";
import type { TcpConnection } from "./connection.ts";
import type { TcpListener } from "./listener.ts";
import type { ReceiveMemory } from "./receive_memory.ts";

/** Room for `bytes` bytes, told as they are. */
class Room implements ReceiveMemory {
  readonly threshold = 777;
  readonly bytes: number;
  /** Bytes that were not taken for want of room. */
  refused = 0;
  used = 0;

  constructor(bytes: number) {
    this.bytes = bytes;
  }
  shift(): number {
    return 0;
  }
  first(): number {
    return this.bytes;
  }
  window(): number {
    return Math.max(0, this.bytes - this.used);
  }
  offer(c: TcpConnection): number {
    const window = this.window();
    c.rcvAdv = c.rcvNxt + window | 0;
    return window;
  }
  updateDue(): boolean {
    return true;
  }
  fits(): boolean {
    return true;
  }
  arrived(_c: TcpConnection, _sequence: number, length: number): boolean {
    if (this.used + length > this.bytes) {
      this.refused += length;
      return false;
    }
    this.used += length;
    return true;
  }
  joined(): void {}
  taken(_c: TcpConnection, bytes: number): void {
    this.used -= bytes;
  }
}

Deno.test("Connection offers the windows of its receive memory, and drops what that refuses", () => {
  const pair = new TcpPair();
  const room = new Room(5000);
  const accepted: TcpConnection[] = [];
  const listener = pair.tcp(1).listen({ port: 80 }, {
    ready: (l) => {
      const c = l.take() as TcpConnection;
      c.handler = Object.assign(new Recording(), { appetite: 0 });
      accepted.push(c);
    },
  }) as TcpListener;
  listener.prepare = (c) => c.receiveMemory = room;
  const c = pair.tcp(0).connect(
    { address: pair.hosts[1].address, port: 80 },
    new Recording(),
  ) as TcpConnection;
  pair.run(100_000);
  assert.equal(pair.log[1]!.window, 5000);
  assert.equal(accepted[0]!.info().rcv_ssthresh, 777);
  c.write(new Uint8Array(20_000), 0, 20_000);
  pair.run(2_000_000);
  // Four segments that hold no more than half of the window each, and a remnant.
  assert.equal(accepted[0]!.readable, 5000);
  assert.equal(pair.log.filter(({ from }) => from === 1).at(-1)!.window, 0);
  // What was taken makes room, of which the peer hears.
  for (let rounds = 0; rounds < 10; rounds++) {
    accepted[0]!.read(new Uint8Array(5000), 0, 5000);
    pair.run(1_000_000);
  }
  assert.equal(accepted[0]!.bytesReceived, 20_000);
  assert.equal(pair.tcp(1).counters.outOfMemory, 0);
  // Memory that is gone all at once: the segment is dropped, and comes again.
  room.used = 4990;
  c.write(new Uint8Array(100), 0, 100);
  pair.run(50_000);
  assert.equal(pair.tcp(1).counters.outOfMemory, 1);
  assert.equal(room.refused, 100);
  room.used = 0;
  pair.run(2_000_000);
  assert.equal(accepted[0]!.bytesReceived, 20_100);
});
