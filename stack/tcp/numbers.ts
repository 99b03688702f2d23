/**
 * Numbers that an attacker must not guess: sequence numbers (RFC 6528), timestamps (RFC 7323, section 5.4), ports
 * (RFC 6056).
 *
 * @module
 */

import { StackError } from "../errors.ts";
import type { Path } from "../ip/path.ts";
import type { TcpConnection } from "./connection.ts";
import type { Tcp } from "./tcp.ts";

/** First port for active opens, and how many there are (as Linux's ip_local_port_range). */
const FIRST_EPHEMERAL = 32768;
const EPHEMERAL_PORTS = 28232;

// What the keyed hash is asked for.
const ISN_DOMAIN = 1;
const TIMESTAMP_DOMAIN = 2;
const PORT_DOMAIN = 3;

/** Makes the first numbers of a connection. */
export function openNumbers(c: TcpConnection): void {
  const { tcp } = c;
  const now = tcp.stack.now;
  const { local, remote } = c;
  const ports = c.localPort << 16 | c.remotePort;
  // RFC 6528: a clock of 4 µs plus a keyed hash of the connection. Timestamps start at a hash as well (RFC 7323, section 5.4).
  c.iss = Math.floor(now / 4) + tcp.hash.strongFlow(local, remote, ports, ISN_DOMAIN) | 0;
  c.tsOffset = tcp.hash.strongFlow(local, remote, 0, TIMESTAMP_DOMAIN);
  c.sndUna = c.sndNxt = c.iss;
  c.smallEnd = c.iss;
  c.sendBase = c.pushed = c.sentIfPushed = c.iss + 1 | 0;
  c.rcvShift = 0;
  const most = Math.min(Math.max(c.receiveMost, tcp.settings.receiveMaximum), c.windowClamp);
  if (c.receiveMemory !== null) c.rcvShift = c.receiveMemory.shift(c);
  else while (c.rcvShift < 14 && most >> c.rcvShift > 65535) c.rcvShift++;
  c.lastReceived = now;
}

/** RFC 6056, algorithm 3: a keyed hash of the destination, plus a counter. */
export function freePort(tcp: Tcp, path: Path, remotePort: number): number {
  const start = tcp.hash.strongFlow(path.source, path.destination, remotePort, PORT_DOMAIN) >>> 0;
  for (let i = 0; i < EPHEMERAL_PORTS; i++) {
    const port = FIRST_EPHEMERAL + (start + tcp.portCounter) % EPHEMERAL_PORTS;
    tcp.portCounter = tcp.portCounter + 1 >>> 0;
    if (tcp.listeners.has(port)) continue;
    const hash = tcp.hash.flow(path.source, path.destination, port << 16 | remotePort);
    if (tcp.table.get(hash, path.source, port, path.destination, remotePort) === null) return port;
  }
  throw new StackError(
    "AddressNotAvailable",
    `No free port for a connection to ${path.destination}:${remotePort}`,
  );
}

/** A port that nobody listens on. @throws {StackError} `AddressInUse`. */
export function freeListenPort(tcp: Tcp): number {
  const start = tcp.stack.random() >>> 0;
  for (let i = 0; i < EPHEMERAL_PORTS; i++) {
    const port = FIRST_EPHEMERAL + (start + i) % EPHEMERAL_PORTS;
    if (!tcp.listeners.has(port)) return port;
  }
  throw new StackError("AddressInUse", "No free port to listen on");
}
