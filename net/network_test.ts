import assert from "node:assert/strict";
import http from "node:http";
import { MemoryDevice } from "../drivers/memory.ts";
import { Cidr } from "../stack/ip/address.ts";
import { Network } from "./network.ts";

/** Two hosts on one cable. */
function pair(): [Network, Network] & AsyncDisposable {
  const [a, b] = MemoryDevice.pair();
  const networks: [Network, Network] = [
    Network.create({ device: a, addresses: ["10.0.0.1/24"] }),
    Network.create({ device: b, addresses: ["10.0.0.2/24"] }),
  ];
  return Object.assign(networks, {
    async [Symbol.asyncDispose]() {
      for (const network of networks) await network[Symbol.asyncDispose]();
    },
  });
}

Deno.test("Network.connect() and Network.listen() make a connection over memory devices", async () => {
  await using hosts = pair();
  const [client, server] = hosts;
  using listener = server.listen({ port: 7 });
  const echo = (async () => {
    for await (const conn of listener) await conn.readable.pipeTo(conn.writable);
  })();
  const conn = await client.connect({ hostname: "10.0.0.2", port: 7 });
  assert.deepEqual(conn.remoteAddr, { transport: "tcp", hostname: "10.0.0.2", port: 7 });
  assert.equal(conn.localAddr.hostname, "10.0.0.1");
  const data = crypto.getRandomValues(new Uint8Array(60_000));
  const sent = (async () => {
    for (let i = 0; i < 50; i++) await conn.write(data);
    await conn.closeWrite();
  })();
  let count = 0;
  for await (const chunk of conn.readable) {
    assert.deepEqual(
      chunk,
      Uint8Array.from({ length: chunk.length }, (_, i) => data[(count + i) % data.length]!),
    );
    count += chunk.length;
  }
  await sent;
  assert.equal(count, 50 * data.length);
  listener.close();
  await echo;
});

Deno.test("Network.connect() fails with Deno's error classes", async () => {
  await using hosts = pair();
  const [client] = hosts;
  await assert.rejects(client.connect({ hostname: "10.0.0.2", port: 81 }), {
    name: "ConnectionRefused",
    code: "ECONNREFUSED",
  });
  await assert.rejects(client.connect({ hostname: "10.9.9.9", port: 81 }), Deno.errors.NetworkUnreachable);
  await assert.rejects(client.connect({ hostname: "10.0.0.9", port: 81, timeout: 30 }), Deno.errors.TimedOut);
});

Deno.test("Network.listen() says which port is in use, and close() gives it back", async () => {
  await using hosts = pair();
  const [host] = hosts;
  const first = host.listen({ port: 80 });
  assert.throws(() => host.listen({ port: 80 }), Deno.errors.AddrInUse);
  assert.throws(() => host.listen({ port: 80, hostname: "10.0.0.77" }), Error);
  first.close();
  host.listen({ port: 80, hostname: "10.0.0.1" }).close();
});

Deno.test("Network.listenDatagram() sends and receives, and drops what does not fit its queue", async () => {
  await using hosts = pair();
  const [client, server] = hosts;
  using socket = server.listenDatagram({ port: 53, queue: 2 });
  using other = client.listenDatagram({ port: 0, hostname: "10.0.0.1" });
  const to = { hostname: "10.0.0.2", port: 53 };
  const bytes = (...values: number[]) => Uint8Array.from(values);
  const waiting = socket.receive();
  assert.equal(await other.send(bytes(1, 2, 3), to), 3);
  const [data, addr] = await waiting;
  assert.deepEqual(data, bytes(1, 2, 3));
  assert.deepEqual(addr, { transport: "udp", hostname: "10.0.0.1", port: other.addr.port });
  await socket.send(bytes(9), addr);
  const buffer = new Uint8Array(10);
  const [part] = await other.receive(buffer);
  assert.equal(part.buffer, buffer.buffer);
  assert.deepEqual(part, bytes(9));
  for (let i = 0; i < 5; i++) await other.send(bytes(i, i), to);
  await other.send(bytes(7), { hostname: "10.0.0.1", port: other.addr.port });
  assert.deepEqual((await other.receive())[0], bytes(7));
  await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(socket.dropped, 3);
  const [cut] = await socket.receive(new Uint8Array(1));
  assert.deepEqual(cut, bytes(0));
  assert.deepEqual((await socket.receive())[0], bytes(1, 1));
  await assert.rejects(other.send(new Uint8Array(65_508), to), Deno.errors.InvalidData);
  await assert.rejects(
    other.send(bytes(1), { hostname: "10.7.0.1", port: 1 }),
    Deno.errors.NetworkUnreachable,
  );
  const last = socket.receive();
  socket.close();
  await assert.rejects(last, Deno.errors.BadResource);
  for await (const _ of socket) assert.fail("A closed socket yields nothing");
});

Deno.test("Network.ping() yields round trips, and null for who is not there", async () => {
  await using hosts = pair();
  const [client] = hosts;
  const results = await Array.fromAsync(client.ping("10.0.0.2", { count: 3, interval: 1, size: 100 }));
  assert.deepEqual(results.map((result) => result.sequence), [0, 1, 2]);
  for (const { rtt, bytes, hopLimit } of results) {
    assert.ok(rtt !== null && rtt > 0 && rtt < 1000);
    assert.equal(bytes, 100);
    assert.equal(hopLimit, 64);
  }
  const [lost] = await Array.fromAsync(client.ping("10.0.0.9", { count: 1, timeout: 20 }));
  assert.equal(lost?.rtt, null);
  await assert.rejects(Array.fromAsync(client.ping("10.0.0.2", { size: 65_508, count: 1 })), RangeError);
  await assert.rejects(Array.fromAsync(client.ping("172.16.0.1")), Deno.errors.NetworkUnreachable);
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  const some = await Array.fromAsync(client.ping("10.0.0.2", { interval: 5000, signal: controller.signal }));
  assert.equal(some.length, 1);
});

Deno.test("Network.serve() and Network.fetch() move a body both ways", async () => {
  await using hosts = pair();
  const [client, host] = hosts;
  await using server = host.serve({ port: 80, onListen: () => {} }, (request) => new Response(request.body));
  const chunk = crypto.getRandomValues(new Uint8Array(50_000));
  let left = 100;
  const body = new ReadableStream({
    pull(controller) {
      if (left-- > 0) controller.enqueue(chunk.slice());
      else controller.close();
    },
  });
  const init = { method: "POST", body, duplex: "half" } as RequestInit;
  const response = await client.fetch("http://10.0.0.2/", init);
  const back = await response.bytes();
  assert.equal(back.length, 5_000_000);
  assert.deepEqual(back.subarray(4_950_000), chunk);
  await server.shutdown();
});

Deno.test("Network.serveNode() feeds a server of Node's", async () => {
  await using hosts = pair();
  const [client, host] = hosts;
  const server = http.createServer((_request, response) => response.end("from node"));
  using _listener = host.serveNode(server, { port: 8080 });
  const response = await client.fetch("http://10.0.0.2:8080/");
  assert.equal(await response.text(), "from node");
});

Deno.test("Network.close() fails what waits, gives devices back and is idempotent", async () => {
  const [a, b] = MemoryDevice.pair();
  const client = Network.create({ device: a, addresses: ["10.0.0.1/24"] });
  const server = Network.create({ device: b, addresses: ["10.0.0.2/24"] });
  const listener = server.listen({ port: 7 });
  const accepting = listener.accept();
  const conn = await client.connect({ hostname: "10.0.0.2", port: 7 });
  const peer = await accepting;
  const one = () => new Uint8Array(1);
  const waiting = [
    assert.rejects(conn.read(one()), Deno.errors.ConnectionAborted),
    assert.rejects(peer.read(one()), Deno.errors.ConnectionReset),
    assert.rejects(client.listenDatagram({ port: 0 }).receive(), Deno.errors.BadResource),
  ];
  const next = assert.rejects(listener.accept(), Deno.errors.BadResource);
  client.close();
  client.close();
  await Promise.all(waiting);
  server[Symbol.dispose]();
  await next;
  assert.ok(a.closed && b.closed && client.closed);
});

Deno.test("Network[Symbol.asyncDispose]() hands over what was written", async () => {
  const [a, b] = MemoryDevice.pair();
  using server = Network.create({ device: b, addresses: ["10.0.0.2/24"] });
  const listener = server.listen({ port: 7 });
  const receiving = (async () => {
    const conn = await listener.accept();
    let count = 0;
    const buffer = new Uint8Array(65536);
    for (let n; (n = await conn.read(buffer)) !== null;) count += n;
    conn.close();
    return count;
  })();
  {
    await using client = Network.create({ device: a, addresses: ["10.0.0.1/24"] });
    const conn = await client.connect({ hostname: "10.0.0.2", port: 7 });
    await conn.write(new Uint8Array(1_000_000));
    conn.close();
  }
  assert.equal(await receiving, 1_000_000);
});

Deno.test("Network keeps going when a callback throws, and reports it", async () => {
  const [a, b] = MemoryDevice.pair();
  const errors: string[] = [];
  using client = Network.create({ device: a, addresses: ["10.0.0.1/24"] });
  using server = Network.create({
    device: b,
    addresses: ["10.0.0.2/24"],
    onError: (error, where) => errors.push(`${(error as Error).message} in ${where}`),
  });
  server.stack.tcp.listen({ port: 9 }, {
    ready(listener) {
      listener.take()!.handler = {
        connected() {},
        receive() {
          throw new Error("Broken");
        },
        finished() {},
        writable() {},
        closed() {},
      };
    },
  });
  const broken = await client.connect({ hostname: "10.0.0.2", port: 9 });
  await broken.write(new Uint8Array(10));
  await assert.rejects(broken.read(new Uint8Array(1)), Deno.errors.ConnectionReset);
  assert.equal(errors.length, 1);
  assert.match(errors[0]!, /^Broken in .*10\.0\.0\.1/);
  const [result] = await Array.fromAsync(client.ping("10.0.0.2", { count: 1 }));
  assert.notEqual(result!.rtt, null);
});

Deno.test("Network.create() takes several interfaces, routes and a gateway", async () => {
  const [a, b] = MemoryDevice.pair({ name: "left" });
  const [c, d] = MemoryDevice.pair({ name: "right" });
  using host = Network.create({
    interfaces: [
      { device: a, addresses: ["10.0.0.1/24", "10.0.1.1/24"], name: "one" },
      { device: c, addresses: ["10.1.0.1/24"], name: "two", mtu: 1400 },
    ],
    routes: [{ destination: "172.16.0.0/12", gateway: "10.1.0.9" }],
    gateway: "10.0.0.254",
  });
  using near = Network.create({ device: b, addresses: ["10.0.0.2/24"] });
  using far = Network.create({ device: d, addresses: ["10.1.0.2/24"] });
  for (const hostname of ["10.0.0.2", "10.1.0.2"]) {
    const [result] = await Array.fromAsync(host.ping(hostname, { count: 1 }));
    assert.notEqual(result!.rtt, null, hostname);
  }
  assert.deepEqual(host.stack.routes.routes.map((route) => route.toString()).slice(-2), [
    "172.16.0.0/12 via 10.1.0.9 dev two",
    "0.0.0.0/0 via 10.0.0.254 dev one",
  ]);
  assert.equal(host.stack.interfaces[1]!.mtu, 1400);
  assert.equal(near.interface.name, "left1");
  assert.ok(far);
  const counters = host.counters();
  assert.deepEqual(Object.keys(counters["interfaces"]!), ["one", "two"]);
  assert.equal(JSON.parse(JSON.stringify(counters)).icmp.received, 2);
});

Deno.test("Network.create() and Network.open() say what is wrong in one line", async () => {
  const [a, b] = MemoryDevice.pair();
  assert.throws(() => Network.create({ device: a, addresses: ["10.0.0.256/24"] }), /"10\.0\.0\.256\/24"/);
  assert.throws(() => Network.create({ device: a, addresses: ["10.0.0.2/33"] }), /33/);
  assert.throws(() => Network.create({ device: a, addresses: ["10.0.0.2"] }), /10\.0\.0\.2\/24/);
  assert.throws(() => Network.create({ device: a, addresses: ["10.0.0.2/24"], gateway: "x" }), /gateway "x"/);
  assert.throws(
    () => Network.create({ device: a, addresses: ["10.0.0.2/24"], gateway: "10.1.0.1" }),
    /"10\.1\.0\.1".*10\.0\.0\.0\/24/,
  );
  assert.throws(() => Network.create({ device: a, interfaces: [] }), TypeError);
  assert.equal(a.closed, false);
  await assert.rejects(Network.open({ device: "carrier:pigeon" }), /"carrier:pigeon".*tap:NAME/);
  await assert.rejects(Network.open({ device: "qemu:" }), /"qemu:"/);
  a.close();
  b.close();
});

Deno.test("Network.step() drives a network in the time that it is told", async () => {
  const [a, b] = MemoryDevice.pair();
  const random = () => 4;
  const one = Network.create({ device: a, addresses: ["10.0.0.1/24"], loop: false, random });
  const two = Network.create({ device: b, addresses: ["10.0.0.2/24"], loop: false, random });
  const listener = two.listen({ port: 7 });
  let done = false;
  const talk = (async () => {
    const [conn, peer] = await Promise.all([
      one.connect({ hostname: "10.0.0.2", port: 7 }),
      listener.accept(),
    ]);
    await conn.write(Uint8Array.of(1, 2, 3));
    const buffer = new Uint8Array(8);
    assert.equal(await peer.read(buffer), 3);
    done = true;
  })();
  let now = 0;
  for (let turn = 0; turn < 100 && !done; turn++) {
    one.step(now);
    two.step(now);
    now += 100;
    for (let i = 0; i < 10; i++) await null;
  }
  await talk;
  assert.ok(now < 10_000);
  one.close();
  two.close();
  using looped = Network.create({ device: MemoryDevice.pair()[0] });
  assert.throws(() => looped.step(0), TypeError);
});

Deno.test("Networks joined by bare IP packets speak over both versions, without asking anybody for anything", async () => {
  const [a, b] = MemoryDevice.pair({ medium: "ip", mtu: 65535 });
  await using server = await Network.open({
    device: a,
    addresses: ["10.0.0.1/32"],
    routes: [
      { destination: "0.0.0.0/0", interface: "memory0" },
    ],
  });
  // Nothing is given and nobody to ask: it is there at once, with the address that it makes for itself.
  await using client = await Network.open({ device: b, configure: true });
  const [local] = client.configuration.addresses;
  assert.match(local!, /^fe80:/);
  assert.equal(client.configuration.lease(), null);
  client.interface.addAddress(Cidr.parse("10.0.0.2/24"));
  server.serve({ port: 80, onListen() {} }, (request) => new Response(request.body));
  const own = server.interface.addresses.find(({ address }) => address.version === 6)!.address;
  for (const host of ["10.0.0.1", `[${own}]`]) {
    const body = crypto.getRandomValues(new Uint8Array(50_000));
    const response = await client.fetch(`http://${host}/`, { method: "POST", body });
    assert.deepEqual(await response.bytes(), body);
  }
  const [result] = await Array.fromAsync(client.ping("10.0.0.1", { count: 1, size: 60_000 }));
  assert.notEqual(result!.rtt, null);
  for (const { interface: { arp, nd } } of [server, client]) {
    assert.equal(arp.counters.requested, 0);
    assert.equal(arp.neighbours.size + nd!.neighbours.size, 0);
  }
});
