/**
 * This stack under a script, in virtual time.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import type { Stack } from "../../../stack/stack.ts";
import type { TcpConnection } from "../../../stack/tcp/connection.ts";
import { tcpInfo } from "../../../stack/tcp/info.ts";
import type { CallSpec } from "./ast.ts";
import type { Captured } from "./codec.ts";
import type { Attempt } from "./file.ts";
import { Kernel } from "./kernel.ts";
import { Link, START } from "./link.ts";
import type { RunOptions } from "./options.ts";
import { RouteMetrics } from "./route_metrics.ts";
import { runCommand } from "./shell.ts";
import { StackSettings } from "./sysctl.ts";
import type { System, Talker, Watcher } from "./system.ts";
import { TcpSocket } from "./tcp_socket.ts";

/** µs that a packet takes to come in, and that a call takes. */
const PACKET_TIME = 5, CALL_TIME = 20;

/** Bytes that any socket may ask for to receive, unless net.core.rmem_max says otherwise (as Linux 6.18). */
const MOST_RECEIVE_BUFFER = 4 << 20;

/** A stack of its own, its sockets, and the link between it and the script. */
export class StackSystem implements System {
  readonly patience = 3600_000_000;
  readonly drift = 0;
  readonly lateness = 60_000_000;
  readonly #link: Link;
  readonly #kernel: Kernel;
  readonly #watcher: Watcher;
  readonly #settings: StackSettings;
  /** By their ports; those that have ended as well. */
  readonly #connections = new Map<string, TcpConnection>();

  /** @param prepare Sees the stack before anything happens. */
  constructor(options: RunOptions, watcher: Watcher, prepare: (stack: Stack) => void = () => {}) {
    this.#link = new Link(options);
    prepare(this.#link.stack);
    this.#watcher = watcher;
    // As Linux has it until a script says otherwise: who asks for it may connect with Fast Open.
    this.#link.stack.tcp.settings.fastOpen = 1;
    this.#link.stack.tcp.settings.mtuProbing = 0;
    const { stack, localAddress, remoteAddress } = this.#link;
    const { bindPort, connectPort } = options;
    const metrics = new RouteMetrics(options.mtu);
    const memory = { mostAsked: MOST_RECEIVE_BUFFER, shrinkWindow: false };
    this.#settings = new StackSettings(
      { stack, metrics, memory, bound: (mtu) => this.#link.bound(mtu) },
      (message) => watcher.warn(message),
    );
    this.#kernel = new Kernel(
      { stack, metrics, memory, localAddress, remoteAddress, bindPort, connectPort },
      options.ipVersion === "ipv4" ? 4 : 6,
      {
        opened: (socket) => watcher.opened(socket),
        connected: (socket) => this.#connected(socket),
        warn: (message) => watcher.warn(message),
      },
    );
  }

  #connected(socket: Talker): void {
    if (socket instanceof TcpSocket && socket.connection !== null) this.#note(socket.connection);
    this.#watcher.connected(socket);
  }

  #note(c: TcpConnection): void {
    this.#connections.set(`${c.localPort}>${c.remotePort}`, c);
  }

  get now(): number {
    return this.#link.stack.now - START;
  }

  get localAddress(): IpAddress {
    return this.#link.localAddress;
  }

  get remoteAddress(): IpAddress {
    return this.#link.remoteAddress;
  }

  get queue(): Captured[] {
    return this.#link.queue;
  }

  set queue(queue: Captured[]) {
    this.#link.queue = queue;
  }

  get errors(): unknown[] {
    return this.#link.errors;
  }

  poll(): number {
    const next = this.#link.poll() - START;
    this.#kernel.update(this.now);
    return next;
  }

  advance(to: number): void {
    this.#link.stack.advance(START + to);
  }

  deliver(frame: Uint8Array): void {
    this.#link.deliver(frame);
    // Nothing happens at the same moment on a real machine, and what was sent when decides what was overtaken.
    this.advance(this.now + PACKET_TIME);
  }

  call(spec: CallSpec, expected: number): Attempt {
    this.advance(this.now + CALL_TIME);
    const attempt = this.#kernel.call(spec, expected);
    return { run: attempt.run, deadline: attempt.deadline - START };
  }

  command(text: string): number {
    return runCommand(text, this.#settings, (message) => this.#watcher.warn(message));
  }

  info(localPort: number, remotePort: number): Record<string, number> {
    this.#link.stack.tcp.forEach((c) => {
      if (c.localPort === localPort && c.remotePort === remotePort) this.#note(c as TcpConnection);
    });
    const connection = this.#connections.get(`${localPort}>${remotePort}`);
    return connection === undefined ? {} : { ...tcpInfo(connection) } as unknown as Record<string, number>;
  }

  close(): void {}
}
