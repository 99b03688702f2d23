/**
 * The load of the bench: a client on the kernel's sockets, run in the peer's namespace.
 *
 * `main.ts MODE ADDRESS SECONDS [CONCURRENCY [PORT [CONGESTION]]]`: `PORT` is added to those of the services,
 * `CONGESTION` is the congestion control of bulk connections. Prints one JSON line with what it measured. Each mode checks what it moves
 * and fails if a byte is missing, too many or wrong.
 *
 * @module
 */

import { percentile } from "../statistics.ts";
import { pattern, PORTS, TRAILER } from "../services.ts";
import { receiveDatagrams, sendDatagrams } from "./datagrams.ts";
import { Pages, Socket } from "./socket.ts";

/** What a mode measures, by name. */
export type Measured = Record<string, number>;

const CHUNK = 256 * 1024;

/** Sends for some seconds to the discard service, which answers with the number of bytes that it has seen. */
function sendBulk(
  address: string,
  seconds: number,
  _number: number,
  port: number,
  congestion: string,
): Measured {
  using socket = Socket.connect(address, port + PORTS.discard, congestion);
  const pages = new Pages(pattern(CHUNK));
  const start = performance.now();
  const end = start + seconds * 1000;
  let bytes = 0;
  while (performance.now() < end) bytes += socket.sendPages(pages);
  socket.closeWrite();
  const answer = readToEnd(socket, 0);
  const elapsed = performance.now() - start;
  const seen = Number(new TextDecoder().decode(answer.last));
  if (seen !== bytes) throw new Error(`The contender counted ${seen} bytes of the ${bytes} that were sent`);
  return { bits_per_second: bytes * 8 / (elapsed / 1000), bytes };
}

/** Receives for some seconds from the generator, which ends with the number of bytes that it has sent. */
function receiveBulk(
  address: string,
  seconds: number,
  _number: number,
  port: number,
  congestion: string,
): Measured {
  using socket = Socket.connect(address, port + PORTS.generate, congestion);
  const buffer = new Uint8Array(CHUNK);
  // The first bytes are compared; the kernel drops the others without copying, so the peer is not the bottleneck.
  let bytes = 0;
  const expected = pattern(CHUNK);
  while (bytes < CHUNK) {
    const view = buffer.subarray(bytes);
    const received = socket.receive(view);
    if (received === 0) throw new Error(`The contender ended the stream after ${bytes} bytes`);
    bytes += received;
  }
  for (let i = 0; i < CHUNK; i++) {
    if (buffer[i] !== expected[i]) throw new Error(`Byte ${i} of the stream is wrong`);
  }
  const before = bytes;
  const start = performance.now();
  const end = start + seconds * 1000;
  while (performance.now() < end) {
    const received = socket.discard(buffer, 4 * CHUNK);
    if (received === 0) throw new Error(`The contender ended the stream after ${bytes} bytes`);
    bytes += received;
  }
  const elapsed = performance.now() - start;
  const rate = (bytes - before) * 8 / (elapsed / 1000);
  socket.closeWrite();
  const rest = readToEnd(socket, bytes);
  const sent = Number(new TextDecoder().decode(rest.last));
  if (sent + TRAILER !== rest.bytes) {
    throw new Error(`Received ${rest.bytes - TRAILER} bytes of the ${sent} sent`);
  }
  return { bits_per_second: rate, bytes: rest.bytes };
}

/** Reads to the end of the stream, keeping its last bytes. */
function readToEnd(socket: Socket, bytes: number): { bytes: number; last: Uint8Array } {
  const buffer = new Uint8Array(CHUNK);
  let last = new Uint8Array(0);
  for (;;) {
    const received = socket.receive(buffer);
    if (received === 0) return { bytes, last };
    bytes += received;
    const joined = new Uint8Array(last.length + Math.min(received, TRAILER));
    joined.set(last);
    joined.set(buffer.subarray(Math.max(0, received - TRAILER), received), last.length);
    last = joined.slice(-TRAILER);
  }
}

/** Sends a byte and waits for it to come back, over and over, on one connection. */
function requestResponse(address: string, seconds: number, _concurrency: number, port: number): Measured {
  using socket = Socket.connect(address, port + PORTS.echo);
  const data = new Uint8Array(1);
  const times: number[] = [];
  const round = (index: number) => {
    data[0] = index;
    socket.send(data);
    data[0] = index + 1;
    if (socket.receive(data) !== 1 || data[0] !== (index & 0xff)) {
      throw new Error("The echo differs from what was sent");
    }
  };
  for (let i = 0; i < 500; i++) round(i);
  const start = performance.now();
  let before = start;
  while (before - start < seconds * 1000) {
    round(times.length);
    const now = performance.now();
    times.push(now - before);
    before = now;
  }
  return {
    requests_per_second: times.length / ((before - start) / 1000),
    p50_us: percentile(times, 0.5) * 1000,
    p99_us: percentile(times, 0.99) * 1000,
  };
}

/** Connects, exchanges a byte and closes, some connections at a time. */
function connectionRate(address: string, seconds: number, concurrency: number, port: number): Measured {
  const target = Socket.address(address, port + PORTS.echo);
  const data = new Uint8Array(1);
  let count = 0;
  const round = () => {
    const sockets = Array.from({ length: concurrency }, () => Socket.start(target));
    for (const socket of sockets) {
      socket.wait("writable");
      data[0] = count++;
      socket.send(data);
    }
    sockets.forEach((socket, index) => {
      socket.wait("readable");
      const expected = (count - sockets.length + index) & 0xff;
      if (socket.receive(data) !== 1 || data[0] !== expected) {
        throw new Error("The echo differs from what was sent");
      }
      socket.resetOnClose();
      socket[Symbol.dispose]();
    });
  };
  for (let i = 0; i < 20; i++) round();
  count = 0;
  const start = performance.now();
  let elapsed = 0;
  for (; elapsed < seconds * 1000; elapsed = performance.now() - start) round();
  return { connections_per_second: count / (elapsed / 1000) };
}

/** What the peer can do. */
export const MODES = {
  send: sendBulk,
  receive: receiveBulk,
  rr: requestResponse,
  connect: connectionRate,
  udp_send: sendDatagrams,
  udp_receive: receiveDatagrams,
} as const;

if (import.meta.main) {
  const [mode, address, seconds, concurrency = "1", port = "0", congestion = ""] = Deno.args;
  const run = MODES[mode as keyof typeof MODES];
  if (run === undefined || address === undefined) throw new TypeError(`No such mode: "${mode}"`);
  console.log(JSON.stringify(run(address, Number(seconds), Number(concurrency), Number(port), congestion)));
}
