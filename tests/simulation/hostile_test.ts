import assert from "node:assert/strict";
import { State } from "../../stack/tcp/api.ts";
import * as tcp from "../../stack/wire/tcp.ts";
import { type Peer, PORT, Scene } from "./attacker.ts";

const { ACK, FIN, PSH, RST, SYN } = tcp;
const SACK_PERMITTED = [4, 2, 1, 1];
const BYTES = Uint8Array.from({ length: 1460 }, (_, i) => i);

/** Options of a segment: SACK blocks. */
function sack(...edges: number[]): number[] {
  const bytes = [1, 1, 5, 2 + 4 * edges.length];
  for (const edge of edges) bytes.push(edge >>> 24, edge >>> 16 & 255, edge >>> 8 & 255, edge & 255);
  return bytes;
}

/** Options of a segment: timestamps. */
function stamps(value: number, echo: number): number[] {
  const bytes = [1, 1, 8, 10];
  for (const word of [value, echo]) bytes.push(word >>> 24, word >>> 16 & 255, word >>> 8 & 255, word & 255);
  return bytes;
}

/** Holds the victim to what must be true after every attack. */
function assertUnharmed(scene: Scene): void {
  assert.deepEqual(scene.faults, []);
  assert.equal(scene.harmToBystander(), null);
  assert.deepEqual(scene.faults, []);
  assert.equal(scene.victim.nic.misuses, 0);
}

function begin(seed: number): Scene {
  const scene = new Scene(seed);
  scene.startBystander();
  scene.run(100_000);
  return scene;
}

/** Whether bytes still go both ways. */
function assertWorks(peer: Peer): void {
  const { scene, victim } = peer;
  const { bytesReceived } = victim;
  assert.equal(victim.state, State.Established);
  peer.send({ payload: BYTES.subarray(0, 10), flags: ACK | PSH });
  scene.run(1_000_000);
  assert.equal(victim.bytesReceived, bytesReceived + 10);
  peer.next = peer.next + 10 | 0;
}

Deno.test("Tcp survives blind resets, SYNs and ACKs, and answers few of them (RFC 5961)", () => {
  const scene = begin(1);
  const peer = scene.open(5000);
  const { counters } = scene.victim.stack.tcp;
  const seen = scene.seen.length;
  for (let i = 1; i <= 2000; i++) {
    const sequence = peer.next + i * 20 | 0;
    peer.send({ flags: RST, sequence });
    peer.send({ flags: RST | ACK, sequence });
    peer.send({ flags: SYN, sequence: i % 2 === 0 ? peer.next : sequence });
    peer.send({ flags: SYN | ACK, sequence });
    peer.send({ acknowledgment: peer.first + i * 1000 | 0, payload: BYTES });
    peer.send({ acknowledgment: peer.first - 0x100000 - i * 100_000 | 0, payload: BYTES });
    if (i % 50 === 0) scene.run(2000);
  }
  scene.run(10_000);
  assertWorks(peer);
  assertUnharmed(scene);
  assert.ok(scene.seen.length - seen < 50, `${scene.seen.length - seen} answers to 12,000 segments`);
  assert.ok(counters.badResets >= 4000, `${counters.badResets}`);
  assert.ok(counters.unexpectedSyns >= 3000, `${counters.unexpectedSyns}`);
  assert.ok(counters.badAcks >= 4000, `${counters.badAcks}`);
  assert.ok(counters.challengeAcksLimited > counters.challengeAcks);
});

Deno.test("Tcp survives SACK blocks that lie, overlap and go back on their word", () => {
  const scene = begin(2);
  const peer = scene.open(5000, SACK_PERMITTED);
  const { victim } = peer;
  const { counters } = scene.victim.stack.tcp;
  const { random } = scene;
  victim.write(new Uint8Array(200_000), 0, 200_000);
  scene.run(5000);
  for (let i = 0; i < 3000; i++) {
    const edges: number[] = [];
    for (let block = random.between(1, 4); block > 0; block--) {
      const flight = victim.sndNxt - victim.sndUna;
      const left = victim.sndUna + random.between(-3000, flight + 3000) | 0;
      const length = random.pick([1, 500, 536, 1072, 5000, -1, 0, -500, 0x7fffffff, 1 << 30]);
      edges.push(left, left + length | 0);
    }
    // Now and then something true, which may fall into the middle of a segment.
    const acknowledgment = random.chance(0.05)
      ? victim.sndUna + random.between(0, victim.sndNxt - victim.sndUna) | 0
      : victim.sndUna;
    peer.send({ acknowledgment, options: sack(...edges) });
    if (i % 5 === 0) scene.run(random.scaled(100, 100_000));
    if (victim.sendQueued < 100_000) victim.write(new Uint8Array(100_000), 0, 100_000);
  }
  assert.ok(counters.badSackBlocks > 1000, `${counters.badSackBlocks}`);
  // It has claimed to have everything: now it says that it has nothing of that, and gets it in finite time.
  peer.send({ acknowledgment: victim.sndUna, options: sack(victim.sndUna + 1 | 0, victim.sndNxt) });
  scene.run(1000);
  const { sndUna } = victim;
  const had = scene.seen.length;
  scene.run(130_000_000);
  const again = scene.seen.slice(had).some((s) => s.sequence === sndUna && s.length > 0);
  assert.ok(again, "what was taken back is never sent again");
  for (let i = 0; i < 2000 && victim.sendQueued > 0; i++) {
    peer.send({ acknowledgment: victim.sndNxt });
    scene.run(10_000);
  }
  assert.equal(victim.sendQueued, 0);
  assertWorks(peer);
  assertUnharmed(scene);
});

Deno.test("Tcp bounds what an ACK costs when a peer with a tiny MSS sacks every other segment", () => {
  const scene = begin(9);
  const peer = scene.open(5000, [2, 4, 0, 64, ...SACK_PERMITTED, 1, 3, 3, 14]);
  const { victim } = peer;
  const { records } = scene.victim.stack.tcp;
  peer.send();
  scene.run(10_000);
  // As if it had been well-behaved for long enough.
  victim.cwnd = 1_000_000;
  victim.write(new Uint8Array(2_000_000), 0, 2_000_000);
  scene.run(300_000);
  const { sndUna, mss } = victim;
  const flight = victim.sndNxt - sndUna;
  assert.ok(flight > 10_000 * mss, `${flight}`);
  for (let i = 0; (2 * i + 2) * mss < flight; i++) {
    const left = sndUna + (2 * i + 1) * mss | 0;
    peer.send({ acknowledgment: sndUna, options: sack(left, left + mss | 0) });
    if (i % 100 === 0) scene.run(1000);
  }
  assert.ok(records.size > 3000 && records.size < 4200, `${records.size} records`);
  // What is sacked side by side is one record.
  peer.send({ acknowledgment: sndUna, options: sack(sndUna + mss | 0, sndUna + flight | 0) });
  scene.run(1000);
  assert.ok(records.size < 100, `${records.size} records`);
  peer.send({ acknowledgment: victim.sndNxt });
  scene.run(1_000_000);
  assertUnharmed(scene);
});

Deno.test("Tcp survives options of every kind and length, in SYNs and later", () => {
  const scene = begin(3);
  const { stack } = scene.victim;
  const peer = scene.open(5000, SACK_PERMITTED);
  let sourcePort = 10_000;
  for (let kind = 0; kind < 40; kind++) {
    for (let length = 0; length <= 40; length++) {
      for (const padding of [0, 1]) {
        const options = [kind, length, ...new Array(38).fill(padding)];
        peer.send({ options, flags: ACK });
        scene.send({
          sourcePort: sourcePort++,
          port: PORT,
          flags: SYN,
          sequence: 1,
          acknowledgment: 0,
          window: 1000,
          options: options.slice(0, scene.random.between(1, 10) * 4),
        });
      }
      if (length % 10 === 0) scene.run(2000);
    }
  }
  scene.run(10_000);
  assertWorks(peer);
  assertUnharmed(scene);
  assert.ok(stack.tcp.counters.badOptions > 100, `${stack.tcp.counters.badOptions}`);
});

Deno.test("Tcp sends segments of a bearable size to whoever asks for an MSS of 0, 1 or 87, or a shift of 255", () => {
  const scene = begin(4);
  let sourcePort = 5000;
  for (const mss of [0, 1, 47, 87, 88, 65535]) {
    for (const shift of [0, 14, 15, 255]) {
      const peer = scene.open(sourcePort++, [2, 4, mss >> 8, mss & 255, 1, 3, 3, shift]);
      const { victim } = peer;
      assert.ok(victim.mss >= 48 && victim.mss <= 1460, `MSS ${victim.mss} for ${mss}`);
      assert.ok(victim.sndShift <= 14);
      victim.write(new Uint8Array(5000), 0, 5000);
      for (let i = 0; i < 40; i++) {
        scene.run(10_000);
        peer.send({ acknowledgment: victim.sndNxt, window: 1000 });
      }
      scene.run(10_000);
      assert.equal(victim.bytesAcked, 5000);
      const sizes = scene.seen.filter((s) => s.port === peer.port).map((s) => s.length);
      assert.ok(Math.max(...sizes) <= Math.max(mss === 0 ? 536 : mss, 64));
    }
  }
  assertUnharmed(scene);
});

Deno.test("Tcp keeps its state bounded in a flood of SYNs and resets, and lets honest hosts in", () => {
  const scene = begin(5);
  const { tcp: layer } = scene.victim.stack;
  const { random } = scene;
  const { size } = layer;
  for (let i = 0; i < 30_000; i++) {
    scene.send({
      source: random.between(3, 19),
      sourcePort: random.between(1, 65535),
      port: random.chance(0.9) ? PORT : random.between(1, 65535),
      flags: random.pick([SYN, SYN, SYN, RST, ACK, RST | ACK]),
      sequence: random.word(),
      acknowledgment: random.word(),
      window: 65535,
    });
    if (i % 100 === 0) scene.run(500);
  }
  assert.ok(layer.size <= size + 1024, `${layer.size} connections`);
  assert.ok(layer.counters.sentCookies > 10_000, `${layer.counters.sentCookies}`);
  assert.ok(layer.pool.used < 1 << 20, `${layer.pool.used} bytes`);
  const peer = scene.open(7);
  assertWorks(peer);
  assertUnharmed(scene);
  // Nobody answers the SYN-ACKs.
  scene.run(200_000_000);
  assert.equal(layer.size, size + 1);
  assert.equal(layer.records.size, 0);
});

Deno.test("Tcp bounds what it keeps for peers that never read, never acknowledge, or vanish, and lets them go", () => {
  const scene = begin(6);
  const { tcp: layer } = scene.victim.stack;
  const { size } = layer;
  const peers: Peer[] = [];
  for (let i = 0; i < 30; i++) peers.push(scene.open(5000 + i, SACK_PERMITTED));
  const data = new Uint8Array(100_000);
  const kinds = ["shut window", "no acknowledgment", "vanished", "vanished, keep-alive", "orphan"];
  peers.forEach((peer, i) => {
    const { victim } = peer;
    const kind = kinds[i % 5];
    if (kind === "shut window" || kind === "orphan") peer.send({ window: 0 });
    if (kind === "vanished, keep-alive") victim.keepAlive = 10_000_000;
  });
  scene.run(10_000);
  peers.forEach((peer, i) => {
    if (kinds[i % 5]!.startsWith("vanished")) return;
    for (let k = 0; k < 100; k++) peer.victim.write(data, 0, data.length);
    if (kinds[i % 5] === "orphan") peer.victim.close();
  });
  // Who keeps his window shut answers probes, and so may keep the connection, but no more than its buffer.
  for (let i = 0; i < 400; i++) {
    scene.run(5_000_000);
    const had = new Set(scene.seen.slice(-200).map((s) => s.port));
    scene.seen.length = 0;
    peers.forEach((peer, k) => {
      if (k % 5 === 0 && had.has(peer.port)) peer.send({ window: 0, acknowledgment: peer.victim.sndUna });
    });
  }
  const states = new Map<string, Set<string>>();
  peers.forEach((peer, i) => {
    const kind = kinds[i % 5]!;
    if (!states.has(kind)) states.set(kind, new Set());
    states.get(kind)!.add(`${State[peer.victim.state]} ${scene.recorders[i]!.error?.code ?? ""}`.trim());
    assert.ok(peer.victim.sendQueued <= peer.victim.sendLimit);
  });
  assert.deepEqual(Object.fromEntries([...states].map(([kind, set]) => [kind, [...set]])), {
    "shut window": ["Established"],
    "no acknowledgment": ["Closed TimedOut"],
    "vanished": ["Established"],
    "vanished, keep-alive": ["Closed TimedOut"],
    "orphan": ["Closed TimedOut"],
  });
  assertUnharmed(scene);
  for (const { victim } of peers) victim.abort();
  scene.run(1_000_000);
  assert.equal(layer.size, size);
  assert.equal(layer.records.size, 0);
  assert.equal(layer.pool.used, 0);
});

Deno.test("Tcp refuses timestamps that go back (RFC 7323, section 5.3)", () => {
  const scene = begin(7);
  const { counters } = scene.victim.stack.tcp;
  const peer = scene.open(5000, stamps(1_000_000, 0));
  const echo = scene.seen.at(-1)!.options.timestampValue;
  peer.send({ options: stamps(1_000_100, echo), payload: BYTES.subarray(0, 10) });
  scene.run(10_000);
  peer.next += 10;
  for (let i = 1; i <= 100; i++) {
    peer.send({
      options: stamps(1_000_100 - i * 1000, echo),
      payload: BYTES.subarray(0, 10),
      sequence: peer.next,
    });
    peer.send({ options: stamps(1_000_100 + 0x80000001 + i | 0, echo), payload: BYTES.subarray(0, 10) });
    scene.run(10_000);
  }
  assert.equal(peer.victim.bytesReceived, 10);
  assert.equal(counters.pawsRejected, 200);
  peer.send({ options: stamps(1_000_101, echo), payload: BYTES.subarray(0, 10), flags: ACK | PSH });
  scene.run(10_000);
  assert.equal(peer.victim.bytesReceived, 20);
  assertUnharmed(scene);
});

Deno.test("Tcp bounds ranges and memory when every other byte of its window comes", () => {
  const scene = begin(8);
  const peer = scene.open(5000, [...SACK_PERMITTED, 1, 3, 3, 7]);
  const { victim } = peer;
  const { counters } = scene.victim.stack.tcp;
  for (let i = 0; i < 20_000; i++) {
    peer.send({ sequence: peer.next + 1 + 2 * i | 0, payload: BYTES.subarray(i % 256, i % 256 + 1) });
    if (i % 200 === 0) scene.run(1000);
  }
  scene.run(10_000);
  assert.ok(counters.reassemblyFull > 0 || (victim.assembler?.count ?? 0) <= 20_000);
  assert.ok(victim.receiveRing.capacity <= 2 * victim.receiveLimit);
  assert.ok(scene.victim.stack.tcp.pool.used <= 2 * victim.receiveLimit);
  assertWorks(peer);
  assertUnharmed(scene);
});

Deno.test("Tcp keeps every invariant under segments of random flags, numbers and options", () => {
  for (let seed = 100; seed < 112; seed++) {
    const scene = begin(seed);
    scene.reads = seed % 3 !== 0;
    const { random } = scene;
    let peer: Peer | null = null;
    let port = 6000;
    for (let i = 0; i < 1500; i++) {
      if (peer === null || peer.victim.state === State.Closed) {
        const options = random.pick([[], SACK_PERMITTED, [2, 4, 2, 0], [...SACK_PERMITTED, ...stamps(1, 0)]]);
        peer = scene.open(port++, options, random.word());
        peer.victim.write(BYTES, 0, random.between(0, 1460));
      }
      const { victim }: Peer = peer;
      const near = random.pick([
        0,
        0,
        0,
        0,
        1,
        -1,
        10,
        -10,
        1460,
        -1460,
        65535,
        1 << 20,
        1 << 30,
        -(1 << 30),
      ]);
      const nearer = random.pick([0, 0, 0, 1, -1, 500, -500, 1 << 20, 1 << 31]);
      const flags = random.chance(0.8) ? ACK | random.pick([0, 0, 0, PSH, FIN]) : random.between(0, 255);
      const base = victim.sndUna + random.between(0, victim.sndNxt - victim.sndUna);
      const options = random.pick([
        [],
        [],
        sack(base, base + 100),
        stamps(random.between(0, 1000), random.word()),
        Array.from({ length: 4 * random.between(0, 10) }, () => random.between(0, 255)),
      ]);
      peer.send({
        flags,
        sequence: victim.rcvNxt + near | 0,
        acknowledgment: base + nearer | 0,
        window: random.pick([0, 1, 100, 65535]),
        options,
        payload: BYTES.subarray(0, random.pick([0, 0, 1, 100, 1460])),
      });
      if (random.chance(0.3)) scene.run(random.scaled(10, 300_000));
      if (random.chance(0.05)) victim.write(BYTES, 0, random.between(1, 1460));
      if (random.chance(0.005)) victim.closeWrite();
      if (random.chance(0.005)) victim.close();
    }
    assertUnharmed(scene);
    for (const c of scene.accepted) c.abort();
    scene.run(700_000_000);
    const { tcp: layer } = scene.victim.stack;
    assert.equal(layer.size, 1, `seed ${seed}`);
    assert.equal(layer.records.size, 0);
    assert.equal(layer.pool.used, 0, `seed ${seed}`);
  }
});
