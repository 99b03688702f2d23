import assert from "node:assert/strict";
import { Pair } from "../testing/pair.ts";
import { Recording, TcpPair, type TcpPairOptions } from "../testing/tcp_pair.ts";
import { type Connection, State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";

const BYTES = Uint8Array.from({ length: 5000 }, (_, i) => i * 7 + (i >>> 8));

/**
 * Opens a connection from side 0 to side 1.
 * @param handled Whether the accepted side gets its handler at once. @param buffer Bytes that side 1 takes in.
 */
function open(options: TcpPairOptions = {}, handled = true, buffer?: number) {
  const pair = new TcpPair(options);
  if (buffer !== undefined) pair.tcp(1).settings.receiveDefault = buffer;
  const client = new Recording(), server = new Recording();
  let accepted: Connection | null = null;
  pair.tcp(1).listen({ port: 80 }, {
    ready: (listener) => {
      accepted = listener.take()!;
      if (handled) accepted.handler = server;
    },
  });
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, client) as TcpConnection;
  assert(pair.run(1_000_000, () => accepted !== null));
  return { pair, client, server, a, b: accepted! as TcpConnection };
}

Deno.test("ConnectionHandler.receive() gets each byte once when it takes them bit by bit after the end", () => {
  const { pair, server, a, b } = open();
  server.appetite = 1000;
  a.write(BYTES, 0, 3000);
  a.closeWrite();
  pair.run(1_000_000);
  b.closeWrite();
  pair.run(1_000_000);
  assert.equal(b.state, State.Closed);
  for (const appetite of [1500, 2999, 3000]) {
    assert(!server.events.includes("finished"));
    server.appetite = appetite;
    b.resume();
    pair.run(1000);
    assert.equal(server.received, appetite);
  }
  assert.deepEqual(server.bytes, BYTES.slice(0, 3000));
  assert.deepEqual(server.events, ["finished", "closed"]);
  assert.equal(pair.tcp(1).pool.used, 0);
});

Deno.test("ConnectionHandler.finished() is not called for a stream that a reset has cut short", () => {
  const { pair, server, a } = open();
  server.appetite = 0;
  a.write(BYTES, 0, 100);
  a.closeWrite();
  pair.run(1_000_000);
  a.abort();
  pair.run(1_000_000);
  assert.deepEqual(server.events, ["closed ConnectionReset"]);
});

Deno.test("Connection.close() from within receive() ends in order when all was taken", () => {
  for (const appetite of [2000, 1999]) {
    const { pair, client, server, a, b } = open();
    server.appetite = 0;
    a.write(BYTES, 0, 2000);
    a.closeWrite();
    pair.run(1_000_000);
    server.appetite = appetite;
    const receive = server.receive.bind(server);
    server.receive = (connection, bytes, offset, length) => {
      connection.close();
      return receive(connection, bytes, offset, length);
    };
    b.resume();
    pair.run(1_000_000);
    const inOrder = appetite === 2000;
    assert.equal(client.events.at(-1), inOrder ? "closed" : "closed ConnectionReset");
    assert.deepEqual(server.events.at(-1), "closed");
    assert.equal(pair.tcp(1).pool.used, 0);
  }
});

Deno.test("ConnectionHandler.closed() is called when the handler is set after the end", () => {
  const { pair, server, a, b } = open({}, false);
  a.abort();
  pair.run(1_000_000);
  assert.equal(b.state, State.Closed);
  b.handler = server;
  b.resume();
  pair.run(1000);
  assert.deepEqual(server.events, ["closed ConnectionReset"]);
});

Deno.test("Connection.close() gives back what was not read when the connection has ended before", () => {
  for (const end of ["close", "abort"] as const) {
    const { pair, server, a, b } = open();
    server.appetite = 0;
    a.write(BYTES, 0, 3000);
    a.closeWrite();
    pair.run(1_000_000);
    b.closeWrite();
    pair.run(1_000_000);
    assert.equal(b.state, State.Closed);
    assert.deepEqual(server.events, []);
    b[end]();
    pair.run(1000);
    assert.deepEqual(server.events, ["closed"]);
    assert.equal(pair.tcp(1).pool.used, 0);
  }
});

Deno.test("Listener.close() gives back what connections that were reset in its queue had received", () => {
  const pair = new TcpPair();
  const listener = pair.tcp(1).listen({ port: 80 }, { ready() {} });
  const a = pair.tcp(0).connect({ address: pair.hosts[1].address, port: 80 }, new Recording());
  a.write(BYTES, 0, 3000);
  pair.run(1_000_000);
  a.abort();
  pair.run(1_000_000);
  listener.close();
  assert.equal(pair.tcp(1).pool.used, 0);
});

Deno.test("Tcp does not scale the window of a SYN-ACK when both sides open at once (RFC 7323, section 2.2)", () => {
  const pair = new TcpPair();
  const [one, two] = pair.hosts;
  const a = pair.tcp(0).connect({ address: two.address, port: 2000, localPort: 1000 }, new Recording());
  pair.tcp(1).connect({ address: one.address, port: 1000, localPort: 2000 }, new Recording());
  assert(pair.run(1_000_000, () => a.state === State.Established));
  const { sndWnd } = a as TcpConnection;
  assert(sndWnd <= 65535, `${sndWnd}`);
});

Deno.test("Tcp never writes beyond a slot, however small the segments are", () => {
  const pair = new Pair({ mtu: 576 });
  let seen = 0;
  pair.a.interface.tap("out", {
    receive: (packet) => {
      assert(packet.end <= packet.limit, `${packet.end} > ${packet.limit}`);
      seen += packet.length;
      return false;
    },
  });
  const server = new Recording();
  pair.b.stack.tcp.listen({ port: 80 }, { ready: (listener) => listener.take()!.handler = server });
  const c = pair.a.stack.tcp.connect(
    { address: pair.b.interface.addresses[0]!.address, port: 80 },
    new Recording(),
  );
  c.noDelay = true;
  c.write(BYTES, 0, 1020);
  pair.pass(1_000_000);
  assert.deepEqual(server.bytes, BYTES.slice(0, 1020));
  assert(seen > 1020);
  assert.deepEqual(pair.a.errors, []);
});

Deno.test("Tcp bounds what tiny segments add to the window of a reader that stands still", () => {
  const { pair, server, a, b } = open({ delay: 10 }, true, 8192);
  const { receiveLimit } = b;
  server.appetite = 0;
  a.noDelay = true;
  for (let i = 0; i < 8000; i++) {
    a.write(BYTES, 0, 1);
    pair.run(50_000);
  }
  assert(b.readable > 1.8 * receiveLimit);
  const offered = b.readable + (b.rcvAdv - b.rcvNxt);
  assert(
    receiveLimit <= 8192 && offered <= 2 * receiveLimit + (1 << b.rcvShift),
    `${offered} for ${receiveLimit}`,
  );
});

Deno.test("Tcp follows a path's MTU that another connection has learnt, with a time-out as well", () => {
  const pair = new Pair();
  const server = new Recording();
  pair.b.stack.tcp.listen({ port: 80 }, { ready: (listener) => listener.take()!.handler = server });
  const { address } = pair.b.interface.addresses[0]!;
  const c = pair.a.stack.tcp.connect({ address, port: 80 }, new Recording());
  pair.pass(1_000_000);
  c.write(BYTES, 0, 3 * 1448);
  pair.a.stack.poll(pair.now);
  // All that was sent is lost, and meanwhile the path turns out to be narrower.
  pair.a.device.take();
  pair.a.stack.path(address)!.learnMtu(1000);
  pair.pass(3_000_000);
  assert.deepEqual(server.bytes, BYTES.slice(0, 3 * 1448));
});

Deno.test("Tcp shares the slots of a busy device among its connections, SYNs included", () => {
  const pair = new Pair({ slots: 8 });
  const { device, stack } = pair.a;
  const { address } = pair.b.interface.addresses[0]!;
  pair.b.stack.tcp.listen({ port: 80 }, { ready: (listener) => listener.take() });
  pair.run();
  const open = () => {
    const c = stack.tcp.connect({ address, port: 80 }, new Recording()) as TcpConnection;
    pair.run();
    return c;
  };
  const busy = [open(), open(), open()];
  // All slots but one are in hardware, and that one comes back at each turn.
  const held = [];
  while (device.free > 1) held.push(device.reserve()!);
  const one = device.reserve()!;
  for (const c of busy) c.write(BYTES, 0, 5000);
  const late = stack.tcp.connect({ address, port: 80 }, new Recording()) as TcpConnection;
  assert(stack.poll(pair.now) <= pair.now, "does not want another turn");
  let current = one;
  for (let turn = 0; turn < 8; turn++) {
    device.release(current);
    stack.poll(pair.now);
    current = device.reserve()!;
  }
  assert.deepEqual(busy.map((c) => c.packetsOut > 0), [true, true, true]);
  assert.equal(late.synDue, false);
});

Deno.test("Tcp.connect() counts from the turn that sends its SYN, not from before a long sleep", () => {
  const pair = new Pair();
  const { address } = pair.b.interface.addresses[0]!;
  pair.b.stack.tcp.listen({ port: 80 }, { ready: (listener) => listener.take() });
  const c = pair.a.stack.tcp.connect({ address, port: 80 }, new Recording()) as TcpConnection;
  pair.now += 10_000_000;
  pair.run();
  assert.equal(c.state, State.Established);
  assert.equal(pair.a.stack.tcp.counters.retransmittedSegments, 0);
  assert(c.srtt < 1000, `${c.srtt}`);
});
