/**
 * The table of connections: open addressing with linear probing on the keyed hash of addresses and ports.
 *
 * @module
 */

import type { Packet } from "../packet.ts";
import type { IpAddress } from "../ip/address.ts";
import type { TcpConnection } from "./connection.ts";

/** Finds connections by what a packet says. Its cost does not grow with their number. */
export class ConnectionTable {
  #hashes = new Int32Array(64);
  #connections: (TcpConnection | null)[] = new Array(64).fill(null);
  #mask = 63;
  /** Connections in the table. */
  size = 0;

  /** @returns The connection that a received packet belongs to. @param ports Source port in the upper half. */
  find(packet: Packet, hash: number, ports: number): TcpConnection | null {
    const mask = this.#mask;
    const hashes = this.#hashes, connections = this.#connections;
    for (let i = hash & mask;; i = i + 1 & mask) {
      const c = connections[i]!;
      if (c === null) return null;
      if (hashes[i] !== hash || (c.remotePort << 16 | c.localPort) !== ports) continue;
      if (matches(c, packet)) return c;
    }
  }

  /** @returns The connection between these addresses and ports, or null. */
  get(
    hash: number,
    local: IpAddress,
    localPort: number,
    remote: IpAddress,
    remotePort: number,
  ): TcpConnection | null {
    const mask = this.#mask;
    for (let i = hash & mask;; i = i + 1 & mask) {
      const c = this.#connections[i]!;
      if (c === null) return null;
      if (
        this.#hashes[i] === hash && c.localPort === localPort && c.remotePort === remotePort &&
        c.local.equals(local) && c.remote.equals(remote)
      ) return c;
    }
  }

  /** Adds a connection that is not in the table. */
  add(c: TcpConnection): void {
    if (2 * ++this.size > this.#mask) this.#grow();
    this.#place(c);
  }

  /** Removes a connection; does nothing when it is not there. */
  remove(c: TcpConnection): void {
    const mask = this.#mask;
    const hashes = this.#hashes, connections = this.#connections;
    let i = c.hash & mask;
    while (connections[i] !== c) {
      if (connections[i] === null) return;
      i = i + 1 & mask;
    }
    this.size--;
    // Moves up what was displaced, so that no tombstones are needed.
    for (let j = i + 1 & mask; connections[j] !== null; j = j + 1 & mask) {
      const home = hashes[j]! & mask;
      if ((j - home & mask) < (j - i & mask)) continue;
      connections[i] = connections[j]!;
      hashes[i] = hashes[j]!;
      i = j;
    }
    connections[i] = null;
  }

  /** Calls `visit` for every connection. For the API's edge: `visit` must not change the table. */
  forEach(visit: (c: TcpConnection) => void): void {
    for (const c of this.#connections) if (c !== null) visit(c);
  }

  #place(c: TcpConnection): void {
    let i = c.hash & this.#mask;
    while (this.#connections[i] !== null) i = i + 1 & this.#mask;
    this.#connections[i] = c;
    this.#hashes[i] = c.hash;
  }

  #grow(): void {
    const old = this.#connections;
    this.#mask = 2 * old.length - 1;
    this.#hashes = new Int32Array(2 * old.length);
    this.#connections = new Array(2 * old.length).fill(null);
    for (const c of old) if (c !== null) this.#place(c);
  }
}

function matches(c: TcpConnection, packet: Packet): boolean {
  const view = packet.view, at = packet.network;
  const local = c.path.source, remote = c.path.destination;
  if (packet.version === 4) {
    return local.version === 4 && view.getInt32(at + 12) === remote.d && view.getInt32(at + 16) === local.d;
  }
  return local.version === 6 && view.getInt32(at + 20) === remote.d && view.getInt32(at + 36) === local.d &&
    view.getInt32(at + 16) === remote.c && view.getInt32(at + 32) === local.c &&
    view.getInt32(at + 12) === remote.b && view.getInt32(at + 28) === local.b &&
    view.getInt32(at + 8) === remote.a && view.getInt32(at + 24) === local.a;
}
