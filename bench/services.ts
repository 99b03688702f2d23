/**
 * What every contender serves, written once on the shape that `Deno.listen` and `Network.listen` share.
 *
 * @module
 */

/** TCP ports of the services. */
export const PORTS = { echo: 7, discard: 9, generate: 19, http: 80 } as const;

/** Bytes of the number with which a service ends a stream: decimal digits, padded with spaces in front. */
export const TRAILER = 16;

/** What a contender's stack must offer. */
export interface Transport {
  /** Listens on a port of every address. */
  listen(options: { port: number }): AsyncIterable<Stream>;
  /** Serves HTTP. */
  serve(options: { port: number }, handler: (request: Request) => Response | Promise<Response>): unknown;
}

/** A connection: what `Deno.Conn` and the connections of `net/` have in common. */
export interface Stream {
  /** Reads into the buffer; null at the end of the stream. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Writes some of the bytes; resolves with how many. */
  write(data: Uint8Array): Promise<number>;
  /** Ends the sending direction. */
  closeWrite(): Promise<void>;
  /** Closes it. */
  close(): void;
}

/** The first bytes of the generated stream; both sides compute it. */
export function pattern(length: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(length);
  let state = 0x9e3779b9;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}

/** The number with which a service ends a stream. */
export function trailer(count: number): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(String(count).padStart(TRAILER));
}

async function writeAll(stream: Stream, data: Uint8Array): Promise<void> {
  for (let at = 0; at < data.length;) at += await stream.write(at === 0 ? data : data.subarray(at));
}

async function echo(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(64 * 1024);
  for (let n; (n = await stream.read(buffer)) !== null;) await writeAll(stream, buffer.subarray(0, n));
}

async function discard(stream: Stream): Promise<void> {
  const buffer = new Uint8Array(256 * 1024);
  let count = 0;
  for (let n; (n = await stream.read(buffer)) !== null;) count += n;
  await writeAll(stream, trailer(count));
  await stream.closeWrite();
}

async function generate(stream: Stream): Promise<void> {
  const data = pattern(256 * 1024);
  let count = 0;
  let stop = false;
  const end = stream.read(new Uint8Array(1)).then(() => stop = true);
  while (!stop) {
    const written = await stream.write(data.subarray(count % data.length));
    count += written;
  }
  await end;
  await writeAll(stream, trailer(count));
  await stream.closeWrite();
}

async function accept(
  listener: AsyncIterable<Stream>,
  service: (stream: Stream) => Promise<void>,
): Promise<void> {
  for await (const stream of listener) {
    service(stream).catch(() => {}).finally(() => {
      try {
        stream.close();
      } catch {
        // The peer has reset it already.
      }
    });
  }
}

/** Starts every service; they run until the process ends. */
export function startServices(transport: Transport): void {
  accept(transport.listen({ port: PORTS.echo }), echo);
  accept(transport.listen({ port: PORTS.discard }), discard);
  accept(transport.listen({ port: PORTS.generate }), generate);
  const headers = { "content-type": "text/plain" };
  transport.serve({ port: PORTS.http }, () => new Response("Hello, World!", { headers }));
}
