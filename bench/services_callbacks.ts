/**
 * The same services one level down: on the callbacks of the stack, where nothing is copied before the application
 * sees it.
 *
 * @module
 */

import type { Bytes } from "../stack/packet.ts";
import type { Stack } from "../stack/stack.ts";
import type { Connection, ConnectionHandler } from "../stack/tcp/api.ts";
import { pattern, PORTS, trailer } from "./services.ts";

/** Ports of these services: those of the others and this. */
export const CALLBACKS = 1000;

/** What every service does the same. */
abstract class Service implements ConnectionHandler {
  constructor(connection: Connection) {
    connection.noDelay = true;
  }

  connected(): void {}
  abstract receive(connection: Connection, bytes: Bytes, offset: number, length: number): number;
  abstract finished(connection: Connection): void;
  writable(_connection: Connection): void {}
  closed(): void {}
}

/** Sends back what comes; takes no more than it can send. */
class Echo extends Service {
  receive(connection: Connection, bytes: Bytes, offset: number, length: number): number {
    return connection.write(bytes, offset, length);
  }

  override writable(connection: Connection): void {
    connection.resume();
  }

  finished(connection: Connection): void {
    connection.close();
  }
}

/** Counts what comes, and ends with the count. */
class Discard extends Service {
  #count = 0;

  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    this.#count += length;
    return length;
  }

  finished(connection: Connection): void {
    const end = trailer(this.#count);
    connection.write(end, 0, end.length);
    connection.close();
  }
}

const DATA = pattern(256 * 1024);

/** Sends until the peer has ended its direction, then the count. */
class Generate extends Service {
  #count = 0;
  #trailer: Bytes | null = null;
  #trailerSent = 0;

  constructor(connection: Connection) {
    super(connection);
    this.writable(connection);
  }

  receive(_connection: Connection, _bytes: Bytes, _offset: number, length: number): number {
    return length;
  }

  override writable(connection: Connection): void {
    if (this.#trailer !== null) {
      const left = this.#trailer.length - this.#trailerSent;
      this.#trailerSent += connection.write(this.#trailer, this.#trailerSent, left);
      if (this.#trailerSent === this.#trailer.length) connection.close();
      return;
    }
    for (;;) {
      const at = this.#count % DATA.length;
      const written = connection.write(DATA, at, DATA.length - at);
      this.#count += written;
      if (written < DATA.length - at) return;
    }
  }

  finished(connection: Connection): void {
    this.#trailer = trailer(this.#count);
    this.writable(connection);
  }
}

/** Starts every service on its port. */
export function startCallbackServices(stack: Stack): void {
  const services = [[PORTS.echo, Echo], [PORTS.discard, Discard], [PORTS.generate, Generate]] as const;
  for (const [port, Kind] of services) {
    stack.tcp.listen({ port: port + CALLBACKS }, {
      ready(listener) {
        for (let connection; (connection = listener.take()) !== null;) {
          connection.handler = new Kind(connection);
        }
      },
    });
  }
}
