/**
 * One simulated world: hosts, the link between them, and applications, from a seed.
 *
 * @module
 */

import { OFFLOAD_CHECKSUM, OFFLOAD_TSO4, OFFLOAD_TSO6 } from "../../stack/device.ts";
import { StackError } from "../../stack/errors.ts";
import { FAST_OPEN_SERVER_NO_COOKIE } from "../../stack/tcp/settings.ts";
import { State } from "../../stack/tcp/api.ts";
import type { Connection, Listener } from "../../stack/tcp/api.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { DatagramFlow, type DatagramSurroundings, drawDatagrams } from "./datagrams.ts";
import { Pair, type Side, type Surroundings } from "./application.ts";
import { EventQueue } from "./event_queue.ts";
import { Host, type HostOptions } from "./host.ts";
import { drawSettings } from "./host_settings.ts";
import { describeConnection, judgeConnection, judgeRest } from "./invariants.ts";
import { type Frame, Link, type Watcher } from "./link.ts";
import { isDatagram, isSolicitation } from "./middlebox.ts";
import { drawConnection, type Meeting } from "./plan.ts";
import { brutal, describe, drawProfiles, lossy, type Profile } from "./profile.ts";
import { Random } from "./random.ts";
import { StallDetector } from "./stall_detector.ts";
import { WireMonitor } from "./wire_monitor.ts";

/** Ports of the listeners, by how they behave. */
const PORTS: Record<Meeting, number> = {
  listen: 80,
  late: 81,
  backlog: 82,
  closing: 83,
  nobody: 9,
  simultaneous: 0,
};

/**
 * Longest time without any progress, in µs, whatever the stall detector excuses: a window probe or a time-out may be backed
 * off by 2 minutes, 15 times.
 */
const PATIENCE = 2_400_000_000;
/**
 * Longest time of everything, in µs. Without SACK and timestamps, on a link that loses much, each segment that is lost twice
 * may cost 2 minutes: there are hundreds of tiny ones.
 */
const LIFETIME = 100_000_000_000;
/** Events after which a world does not come to an end. */
const MOST_EVENTS = 20_000_000;

// Streams of chance, so that one more draw here changes nothing there.
const WORLD = 1, APPLICATIONS = 2, LINK = 3, DATAGRAMS = 4;

/** What a world takes beside its seed. */
export interface WorldOptions {
  /** Connections; drawn by default. */
  connections?: number;
  /** Lines of the story to keep; 0, the default, tells none. */
  story?: number;
  /** Sees every frame that a host sends. @param time In µs. */
  onFrame?: (frame: Frame, time: number) => void;
}

/** What came of a world. */
export interface Outcome {
  seed: number;
  /** What went wrong, or null. */
  failure: string | null;
  connections: number;
  /** Connections whose handshake the link did not let through. */
  unconnected: number;
  frames: number;
  /** Bytes that applications received. */
  bytes: number;
  /** Virtual time, in µs. */
  time: number;
  /** A hash of all frames and when they were sent. */
  digest: number;
}

/** Runs one world to its end. */
export class World implements Surroundings, DatagramSurroundings, Watcher {
  now = 0;
  readonly harsh: boolean;
  readonly brutal: boolean;
  readonly doubles: boolean;
  readonly overtakes: boolean;
  readonly #seed: number;
  readonly #begin: number;
  readonly #options: WorldOptions;
  readonly #random: Random;
  readonly #queue = new EventQueue();
  readonly #hosts: Host[] = [];
  readonly #hostOptions: HostOptions[] = [];
  readonly #link: Link;
  readonly #profiles: Profile[];
  readonly #monitor: WireMonitor;
  readonly #pairs: Pair[] = [];
  readonly #flows: DatagramFlow[] = [];
  /** Pairs by the connecting host and the ports. */
  readonly #expected = new Map<number, Pair>();
  /** Keys of those that were accepted with their SYN: what became of their handshake, the client may not know. */
  readonly #early = new Set<number>();
  readonly #listeners: Listener[] = [];
  readonly #stalls = new StallDetector();
  readonly #story: string[] = [];
  readonly #dead: boolean;
  /** Pairs that are not over, and flows that have not sent all. */
  #open = 0;
  /** The frame that was sent last holds a datagram. */
  #datagram = false;
  /** It asks for a neighbour, or answers. */
  #solicitation = false;
  #lastProgress = 0;
  /** What is left was given up. */
  #ending = false;
  #failure: string | null = null;
  #digest = 0x811c9dc5 | 0;
  #events = 0;
  #rotation = 0;

  /** @param seed Decides everything. */
  constructor(seed: number, options: WorldOptions = {}) {
    this.#seed = seed;
    this.#options = options;
    const random = this.#random = new Random(seed, WORLD);
    const count = random.chance(0.1) ? 3 : 2;
    const offloads = random.chance(0.2) ? OFFLOAD_CHECKSUM | OFFLOAD_TSO4 | OFFLOAD_TSO6 : 0;
    const [there, back] = drawProfiles(random, offloads !== 0);
    this.#profiles = count === 2 ? [there, back] : [there, back, there];
    this.harsh = this.#profiles.some(lossy);
    this.brutal = this.#profiles.some(brutal);
    this.doubles = this.#profiles.some(({ duplicate }) => duplicate > 0);
    // A double comes late, and may be what a packet in pieces still lacked.
    this.overtakes = this.doubles || this.#profiles.some(({ reorder }) => reorder > 0);
    this.#dead = this.#profiles.some((profile) => profile.deadFrom < Infinity);
    const mtu = random.pick([1500, 1500, 1500, 1500, 9000, 576]);
    const slots = offloads === 0 ? random.pick([16, 64, 128, 256]) : random.pick([8, 16]);
    const ecn = random.chance(0.3);
    for (let i = 0; i < count; i++) {
      this.#hostOptions.push({ mtu, offloads, slots, ecn, settings: drawSettings(random) });
    }
    this.#begin = this.now = 1_000_000;
    this.#link = this.#makeLink();
    this.#monitor = new WireMonitor(
      (what) => this.fail(`On the wire: ${what}`),
      !there.stripped.includes(3),
      there.mssClamp,
    );
    this.#monitor.telling = (options.story ?? 0) > 0;
    for (let i = 0; i < count; i++) this.#hosts.push(this.#makeHost(i, this.#link));
    for (const host of this.#hosts) this.#listen(host);
    this.#plan();
    this.#planDatagrams();
  }

  /** Runs until all is over. */
  run(): Outcome {
    this.#loop(() => this.#open === 0 || this.now - this.#lastProgress > PATIENCE, LIFETIME);
    for (const pair of this.#pairs) if (this.#failure === null) this.#judgePair(pair);
    this.#end();
    let bytes = 0;
    let unconnected = 0;
    for (const pair of this.#pairs) {
      const [a, b] = pair.sides;
      bytes += a.received + b.received;
      // A listener may close, and who opens with data may be done before he is connected.
      const { meeting, fastOpen } = pair.plan;
      const expected = meeting !== "nobody" && meeting !== "closing" && fastOpen === false;
      if (expected && !a.connectedTold) unconnected++;
    }
    return {
      seed: this.#seed,
      failure: this.#failure,
      connections: this.#pairs.length,
      unconnected,
      frames: this.#link.counters.sent,
      bytes,
      time: this.now - this.#begin,
      digest: this.#digest,
    };
  }

  /** The world in words: who, how, and what happened last. */
  tell(): string {
    const lines: string[] = [];
    const { mtu, offloads, slots, ecn } = this.#hostOptions[0]!;
    lines.push(
      `${this.#hosts.length} hosts, MTU ${mtu}, offloads ${offloads}, ${slots} slots, ECN ${ecn}, ` +
        this.#hostOptions.map((options) => JSON.stringify(options.settings)).join(" "),
    );
    this.#profiles.forEach((profile, i) => lines.push(`from host ${i}: ${describe(profile)}`));
    lines.push(`link: ${JSON.stringify(this.#link.counters)}`);
    for (const pair of this.#pairs) {
      if (pair.over && pair.finished && this.#pairs.length > 8) continue;
      const { plan } = pair;
      lines.push(
        `connection ${pair.index}: host ${plan.from} to ${plan.to}, ${plan.meeting}, IPv${plan.version}, at ${plan.at}${
          pair.violent ? ", violent" : ""
        }`,
      );
      for (const side of pair.sides) lines.push(`  ${side.name} ${tellSide(side)}`);
    }
    for (const flow of this.#flows) lines.push(flow.tell());
    lines.push(...this.#story);
    return lines.join("\n");
  }

  after(delay: number, run: () => void): void {
    this.#queue.at(this.now + delay, run);
  }

  fail(what: string): void {
    this.note(`FAILED: ${what}`);
    this.#failure ??= `${what} (at ${this.now - this.#begin} µs)`;
  }

  note(what: string): void {
    const most = this.#options.story ?? 0;
    if (most === 0) return;
    this.#story.push(`${((this.now - this.#begin) / 1e6).toFixed(6)} ${what}`);
    if (this.#story.length > 2 * most) this.#story.splice(0, most);
  }

  progress(): void {
    this.#lastProgress = this.now;
    this.#stalls.progress(this.#waiting(), this.#expected.size > 0);
  }

  /** Connections that have something left to do, and whom nothing is missing for it. */
  *#waiting(): Generator<TcpConnection> {
    for (const pair of this.#pairs) {
      if (pair.over || pair.violent) continue;
      for (const { connection, isClosed } of pair.sides) {
        if (connection !== null && !isClosed && connection.state !== State.TimeWait) yield connection;
      }
    }
  }

  done(pair: Pair): void {
    if (pair.finished) return;
    pair.finished = true;
    this.#open--;
  }

  sentAll(): void {
    this.#open--;
  }

  sent(from: number, frame: Frame): void {
    const { bytes } = frame;
    this.#datagram = isDatagram(bytes);
    this.#solicitation = isSolicitation(bytes);
    let digest = Math.imul(this.#digest ^ frame.length ^ from << 24, 0x01000193) ^ this.now | 0;
    for (let i = 30; i < Math.min(frame.length, 66); i++) digest = Math.imul(digest ^ bytes[i]!, 0x01000193);
    this.#digest = digest;
    this.#options.onFrame?.(frame, this.now);
    this.#monitor.see(frame);
    if (this.#monitor.told !== "") this.note(`${from} sends ${this.#monitor.told}`);
  }

  harmed(_from: number, how: string): void {
    if (!this.#datagram) this.#stalls.harmed(this.#solicitation);
    if (this.#monitor.told !== "") this.note(`  ${how}`);
  }

  arrived(to: number, frame: Frame): void {
    if (this.#monitor.telling) this.note(`${to} gets a frame of ${frame.length} bytes`);
  }

  #makeLink(): Link {
    return new Link(
      this.#profiles,
      this.#profiles.map((_, i) => new Random(this.#seed, LINK + 16 * i)),
      this.#queue,
      this,
      this.#begin,
      this,
      (port) => this.#hosts[port]!.ready = true,
    );
  }

  #makeHost(index: number, link: Link): Host {
    return new Host(this.#seed, index, link, this.#hostOptions[index]!, (what) => this.fail(what));
  }

  #listen(host: Host): void {
    const random = this.#random;
    const { tcp } = host.stack;
    const take = (listener: Listener) => this.#takeAll(host, listener);
    const fastOpen = random.chance(0.5) ? random.between(1, 16) : 0;
    if (random.chance(0.3)) tcp.settings.fastOpen |= FAST_OPEN_SERVER_NO_COOKIE;
    this.#listeners.push(tcp.listen({ port: PORTS.listen, fastOpen }, { ready: take }));
    const gap = random.scaled(10, 1_000_000);
    const late = { ready: (listener: Listener) => this.after(gap, () => take(listener)) };
    this.#listeners.push(tcp.listen({ port: PORTS.late, fastOpen }, late));
    this.#listeners.push(tcp.listen({ port: PORTS.backlog, fastOpen, backlog: random.between(1, 3) }, late));
    const closing = tcp.listen(
      { port: PORTS.closing, fastOpen },
      random.chance(0.5) ? late : { ready: take },
    );
    this.#listeners.push(closing);
    this.after(random.scaled(1000, 3_000_000), () => closing.close());
  }

  #plan(): void {
    const random = new Random(this.#seed, APPLICATIONS);
    const { connections } = this.#options;
    const count = connections ?? (random.chance(0.03) ? random.between(30, 120) : random.between(1, 16));
    const rate = Math.min(...this.#profiles.map((profile) => profile.rate));
    const largest = random.chance(0.03) ? 6_000_000 : 400_000;
    const budget = Math.max(1000, Math.min(largest, Math.floor(rate * 30 / 8 / count)));
    const spread = random.chance(0.3) ? 0 : random.scaled(1000, 3_000_000);
    for (let i = 0; i < count; i++) {
      const plan = drawConnection(random, this.#hosts.length, budget, spread);
      const pair = new Pair(this, i, plan, random.word() >>> 1);
      // Whatever was under way when the link died is lost.
      if (this.#dead) pair.violent = true;
      this.#pairs.push(pair);
      this.#open++;
      this.after(plan.at, () => this.#start(pair));
    }
  }

  #planDatagrams(): void {
    const random = new Random(this.#seed, DATAGRAMS);
    if (!random.chance(0.3)) return;
    const rate = Math.min(...this.#profiles.map((profile) => profile.rate));
    for (let i = random.between(0, 2); i >= 0; i--) {
      // A few seconds of the link, of which connections have a part.
      const plan = drawDatagrams(random, this.#hosts.length, Math.min(500_000, rate * 2 / 8));
      this.#flows.push(new DatagramFlow(this, i, plan, this.#hosts));
      this.#open++;
    }
  }

  #start(pair: Pair): void {
    this.progress();
    const { plan } = pair;
    const from = this.#hosts[plan.from]!, to = this.#hosts[plan.to]!;
    if (plan.meeting === "simultaneous") {
      const port = 20_000 + pair.index, otherPort = 40_000 + pair.index;
      this.#connect(pair.sides[0], from, to, port, otherPort);
      this.#connect(pair.sides[1], to, from, otherPort, port);
      return;
    }
    const c = this.#connect(pair.sides[0], from, to, PORTS[plan.meeting]);
    if (c !== null) {
      this.#expected.set(pairKey(c.remote.version, plan.from, c.localPort, plan.to, c.remotePort), pair);
    }
  }

  #connect(side: Side, from: Host, to: Host, port: number, localPort?: number): Connection | null {
    const address = (side.pair.plan.version === 6 ? to.address6 : null) ?? to.address;
    try {
      const c = from.stack.tcp.connect({
        address,
        port,
        ...(localPort === undefined ? {} : { localPort }),
        fastOpen: side.pair.plan.fastOpen,
      }, side);
      side.attach(c);
      // What is written before the turn ends goes with the SYN.
      if (side.pair.plan.fastOpen !== false) side.begin();
      return c;
    } catch (error) {
      if (!(error instanceof StackError)) throw error;
      this.fail(`Connection ${side.name}: ${error.message}`);
      return null;
    }
  }

  #takeAll(host: Host, listener: Listener): void {
    for (let c = listener.take(); c !== null; c = listener.take()) {
      const from = this.#hosts.findIndex(({ address, address6 }) =>
        address.equals(c!.remote) || address6?.equals(c!.remote)
      );
      const key = pairKey(c.remote.version, from, c.remotePort, host.index, c.localPort);
      const pair = this.#expected.get(key);
      const fast = (c as TcpConnection).fastOpen !== null;
      if (pair === undefined && (fast || this.#early.has(key))) {
        // A SYN with data that came twice, the second time after its connection had ended (RFC 7413, section 2.1).
        this.note(`A SYN that came twice, from port ${c.remotePort} to ${c.localPort}`);
        c.abort();
        continue;
      }
      if (pair === undefined) {
        this.fail(`Accepted a connection that nobody made, from port ${c.remotePort} to ${c.localPort}`);
        return;
      }
      this.#expected.delete(key);
      if (fast) this.#early.add(key);
      this.#accept(pair, c);
    }
  }

  #accept(pair: Pair, c: Connection): void {
    const side = pair.sides[1];
    this.note(`${side.name} accepted in ${State[c.state]}`);
    this.progress();
    side.attach(c);
    side.connectedTold = true;
    const begin = () => {
      c.handler = side;
      c.resume();
      side.begin();
    };
    if (side.plan.handlerAfter > 0) this.after(side.plan.handlerAfter, begin);
    else begin();
  }

  /** Lets time pass until `until`, `duration` µs, or a failure. */
  #loop(until: () => boolean, duration: number): void {
    const end = this.now + duration;
    const queue = this.#queue;
    while (this.#failure === null && !until()) {
      let next = queue.next;
      for (const host of this.#hosts) {
        if (host.ready) next = this.now;
        else if (host.deadline < next) next = host.deadline;
      }
      if (next === Infinity || next > end) return;
      if (next > this.now) this.#wait(next);
      for (const host of this.#hosts) host.stack.advance(this.now);
      while (queue.next <= this.now) queue.take().run();
      for (const host of this.#hosts) {
        if (!host.ready && host.deadline > this.now) continue;
        host.turn(this.now);
        this.#inspect(host);
      }
      if (++this.#events > MOST_EVENTS) this.fail("Does not come to an end");
    }
  }

  #wait(next: number): void {
    if (this.#link.flying === 0) this.#stalls.wait(next - this.now);
    this.now = next;
    if (this.#ending || !this.#stalls.suspicious) return;
    const waiting = [...this.#waiting()];
    const wrong = waiting.length === 0 ? null : this.#stalls.judge(waiting, this.#expected.size > 0);
    if (wrong !== null) this.fail(wrong);
  }

  /** Holds connections of a host against the invariants: all of a few, some of many. */
  #inspect(host: Host): void {
    const pairs = this.#pairs;
    const count = Math.min(pairs.length, 12);
    for (let i = 0; i < count; i++) {
      const pair = pairs[(this.#rotation + i) % pairs.length]!;
      this.#inspectSide(host, pair.sides[0]);
      this.#inspectSide(host, pair.sides[1]);
    }
    this.#rotation = (this.#rotation + count) % pairs.length;
  }

  #inspectSide(host: Host, side: Side): void {
    const c = side.connection;
    if (c === null || side.isClosed || c.tcp !== host.stack.tcp) return;
    const walk = c.packetsOut < 40 || (this.#events & 15) === 0;
    const wrong = judgeConnection(c, this.now, walk, host.nic.free === 0);
    if (wrong !== null) this.fail(`Connection ${side.name}: ${wrong}`);
  }

  #judgePair(pair: Pair): void {
    if (pair.over) return;
    const [there, back] = pair.sides;
    // Whose last ACK of the handshake never got through, and who says nothing, waits for somebody who has given up.
    const unheard = this.brutal && there.connectedTold && there.sent === 0 && back.connection === null;
    if (unheard) pair.violent = true;
    if (!pair.violent) {
      this.fail(`Connection ${pair.index} came to a standstill`);
      return;
    }
    // What a dead link leaves behind may wait for ever, but not with data in flight.
    if (this.now - this.#lastProgress <= PATIENCE) return;
    for (const side of pair.sides) {
      const c = side.connection;
      if (c === null || side.isClosed || c.state === State.TimeWait) continue;
      if (c.head >= 0) this.fail(`Connection ${side.name} still has data in flight`);
    }
  }

  /** Gives up what is left, and waits until nothing is. */
  #end(): void {
    if (this.#failure !== null) return;
    this.#ending = true;
    this.#loop(() => this.#link.flying === 0, LIFETIME);
    for (const flow of this.#flows) flow.end();
    for (const listener of this.#listeners) listener.close();
    for (const pair of this.#pairs) for (const side of pair.sides) side.giveUp();
    this.#loop(() => false, 1_000_000_000);
    for (const host of this.#hosts) {
      const wrong = this.#failure === null ? judgeRest(host) : null;
      if (wrong !== null) this.fail(`Host ${host.index}: ${wrong}`);
    }
    for (const pair of this.#pairs) {
      for (const side of pair.sides) {
        // Without a handler nobody is told.
        if (side.connection === null || side.isClosed || side.connection.handler === null) continue;
        this.fail(`Connection ${side.name} was never told that it is closed`);
      }
    }
  }
}

function pairKey(version: number, from: number, fromPort: number, to: number, toPort: number): number {
  return (version * 256 + from * 16 + to) * 2 ** 32 + fromPort * 65536 + toPort;
}

function tellSide(side: Side): string {
  const { plan } = side;
  const told: TcpConnection | null = side.connection;
  return `sent ${side.sent}/${plan.total} received ${side.received} ${plan.reading} ${plan.readChunk}/${plan.readGap}` +
    ` writes ${plan.writeMost}/${plan.writeGap} ${plan.ending} ${plan.endAfter}` +
    `${side.isClosed ? ` closed ${side.error?.code ?? "in order"}` : ""}` +
    `${told === null ? "" : `\n    ${describeConnection(told)}`}`;
}
