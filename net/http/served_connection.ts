/**
 * One connection of the HTTP server: bytes in, exchanges one after the other, bytes out, and the time that the client
 * has for each. It is a state machine on the stack's callbacks; what it does not take waits in the connection's ring
 * and closes the client's window, which bounds pipelining.
 *
 * @module
 */

import type { StackError } from "../../stack/errors.ts";
import type { Bytes } from "../../stack/packet.ts";
import type { Connection, ConnectionHandler } from "../../stack/tcp/api.ts";
import { formatHostPort } from "../address.ts";
import { Alarm, type Clock } from "../clock.ts";
import { gone } from "./body.ts";
import type { EngineOptions } from "./engine.ts";
import { Exchange } from "./exchange.ts";
import type { RequestHead } from "./head.ts";
import { fingerprint, keepHead, recallHead } from "./known_heads.ts";
import { ParserState, type RequestParser, returnParser, takeParser } from "./llhttp.ts";
import { Output } from "./output.ts";
import { RequestBody } from "./request_body.ts";
import { makeRequest, requestUrl } from "./request.ts";
import { respond } from "./respond.ts";
import { latin1 } from "./response_head.ts";

/** What the next byte from the client belongs to. */
enum Reading {
  /** A request's header, or the silence before it. */
  Head,
  /** A body of known length. */
  Sized,
  /** A chunked body. */
  Chunked,
  /** A later request: it waits until the one under way is answered. */
  Nothing,
  /** Nothing of interest: what still comes is thrown away. */
  Rest,
}

/** Milliseconds that a client has to end its direction after the last response, so that a reset does not overtake that. */
const LINGER = 2000;

const REASONS: Record<number, string> = {
  400: "Bad Request",
  408: "Request Timeout",
  417: "Expectation Failed",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  505: "HTTP Version Not Supported",
};

/** What a connection needs of its engine. */
export interface ConnectionOwner {
  /** The stack's time. */
  readonly clock: Clock;
  /** What to do with requests. */
  readonly options: EngineOptions;
  /** Whether connections end with the response under way. */
  readonly closing: boolean;
  /** The connection is over. */
  ended(connection: ServedConnection): void;
}

/** A connection with requests on it. */
export class ServedConnection implements ConnectionHandler {
  readonly #connection: Connection;
  readonly #owner: ConnectionOwner;
  readonly #output: Output;
  readonly #alarm: Alarm;
  #reading: Reading = Reading.Head;
  /** There while a request is being read. */
  #parser: RequestParser | null = null;
  #headBytes = 0;
  /** The fingerprint of the last header that came in one piece, or -1. */
  #print = -1;
  #body: RequestBody | null = null;
  /** Bytes of a sized body that are still to come. */
  #left = 0;
  #exchange: Exchange | null = null;
  /** Data was not taken. */
  #held = false;
  /** Data is being taken: what it sets free needs no `resume`. */
  #receiving = false;
  #peerFinished = false;
  #over = false;
  #received = 0;
  /** Bytes of both directions when the client was last given time. */
  #progress = 0;
  /** When the client has to have done what it has to do, in µs. */
  #due = Infinity;

  /** Takes over a connection. */
  constructor(connection: Connection, owner: ConnectionOwner) {
    this.#connection = connection;
    this.#owner = owner;
    this.#output = new Output(connection);
    this.#alarm = new Alarm(owner.clock, () => this.#check());
    connection.noDelay = true;
    this.#allow(owner.options.limits.headerTimeout, owner.clock.time());
    connection.handler = this;
  }

  /** Closes it now if it is idle, otherwise with the response under way. */
  shutdown(): void {
    if (this.#exchange === null && this.#reading !== Reading.Rest) this.#close();
  }

  /** Resets it. */
  abort(): void {
    if (!this.#over) this.#connection.abort();
  }

  connected(): void {}

  receive(_connection: Connection, bytes: Bytes, offset: number, length: number): number {
    const end = offset + length;
    let at = offset;
    this.#receiving = true;
    while (at < end) {
      const taken = this.#take(bytes, at, end - at);
      if (taken === 0) break;
      at += taken;
    }
    this.#receiving = false;
    this.#received += at - offset;
    this.#held = at < end;
    if (this.#reading === Reading.Head && !this.#over) this.#allowHead(this.#owner.clock.turn());
    return at - offset;
  }

  finished(): void {
    this.#peerFinished = true;
    const exchange = this.#exchange;
    // A whole response that only waits for room is still sent. For the rest a client that ends its direction is gone, as
    // it is for other servers: that is how a browser's "stop" looks.
    if (exchange !== null && exchange.sent) {
      exchange.keepAlive = false;
      return;
    }
    exchange?.lost(gone());
    this.#exchange = null;
    this.#output.end();
    this.#close();
  }

  writable(): void {
    this.#output.resume();
  }

  closed(_connection: Connection, _error: StackError | null): void {
    this.#over = true;
    this.#alarm.cancel();
    this.#releaseParser();
    this.#exchange?.lost(gone());
    this.#output.end();
    this.#exchange = null;
    this.#body = null;
    this.#owner.ended(this);
  }

  /** Takes what belongs to what is being read. @returns How much, 0 to `length`; 0 if it has to wait. */
  #take(bytes: Bytes, offset: number, length: number): number {
    switch (this.#reading) {
      case Reading.Head:
        return this.#takeHead(bytes, offset, length);
      case Reading.Sized: {
        const taken = this.#body!.deliver(bytes, offset, Math.min(length, this.#left));
        this.#left -= taken;
        if (this.#left === 0) this.#bodyEnded();
        return taken;
      }
      case Reading.Chunked:
        return this.#takeChunks(bytes, offset, length);
      case Reading.Nothing:
        return 0;
      case Reading.Rest:
        return length;
    }
  }

  #takeHead(bytes: Bytes, offset: number, length: number): number {
    if (this.#parser === null && this.#print >= 0) {
      const known = recallHead(this.#print, bytes, offset, length);
      if (known !== null) {
        this.#begin(known.head, known.url);
        return known.bytes.length;
      }
    }
    const parser = this.#parser ??= takeParser();
    const taken = parser.feed(bytes, offset, length);
    this.#headBytes += taken;
    if (parser.state === ParserState.Failed) this.#refuse(400);
    else if (this.#headBytes > this.#owner.options.limits.headerSize) this.#refuse(431);
    else if (parser.state === ParserState.HeadDone) {
      const whole = this.#headBytes === taken;
      this.#headBytes = 0;
      this.#readHead(parser.head!, bytes, offset, whole ? taken : 0);
    }
    return taken;
  }

  #takeChunks(bytes: Bytes, offset: number, length: number): number {
    const body = this.#body!;
    if (!body.wanted && !body.discarding) return 0;
    const parser = this.#parser!;
    const taken = parser.feed(bytes, offset, length);
    if (parser.bodyLength > 0 && body.wanted) {
      const chunk = new Uint8Array(parser.bodyLength);
      parser.copyBody(chunk);
      body.push(chunk);
    }
    if (parser.state === ParserState.BodyDone) this.#bodyEnded();
    else if (parser.state === ParserState.Failed || parser.overhead > this.#owner.options.limits.headerSize) {
      body.fail(new Deno.errors.InvalidData("Cannot read the request's body: its chunks are malformed"));
      // Where the next request would start is not known any more.
      if (this.#exchange !== null) this.#exchange.keepAlive = false;
      this.#reading = Reading.Rest;
      this.#releaseParser();
      if (this.#exchange === null) this.#linger();
    }
    return taken;
  }

  /** A header was read. @param length How many bytes at `offset` are all of it; 0 if it came in pieces. */
  #readHead(head: RequestHead, bytes: Bytes, offset: number, length: number): void {
    if (head.refusal !== 0) return this.#refuse(head.refusal);
    const { local, localPort } = this.#connection;
    const url = requestUrl(head.target, head.host ?? formatHostPort(local.toString(), localPort));
    if (url === null) return this.#refuse(400);
    if (length > 0 && head.host !== null && head.length === 0 && !head.chunked) {
      const print = fingerprint(bytes, offset, length);
      // Worth keeping when it comes for the second time.
      if (print === this.#print) keepHead(print, bytes, offset, length, head, url);
      this.#print = print;
    }
    this.#begin(head, url);
  }

  /** The request begins. */
  #begin(head: RequestHead, url: string): void {
    const { limits, handler } = this.#owner.options;
    const body = this.#expectBody(head);
    const exchange = this.#exchange = new Exchange(this.#connection, head, body);
    const request = exchange.request = makeRequest(head, url, body);
    try {
      const result = handler(request, exchange);
      if (result instanceof Promise) {
        result.then(
          (response) => this.#respond(exchange, response),
          (error) => this.#failed(exchange, error),
        );
      } else this.#respond(exchange, result);
    } catch (error) {
      this.#failed(exchange, error);
    }
    if (this.#exchange !== null) this.#allow(limits.stallTimeout, this.#owner.clock.turn());
  }

  /** Sets up for the body that a header announces. @returns It, or null. */
  #expectBody(head: RequestHead): RequestBody | null {
    this.#body = null;
    if (head.chunked) {
      this.#reading = Reading.Chunked;
      this.#parser!.beginBody();
    } else {
      this.#releaseParser();
      this.#reading = head.length > 0 ? Reading.Sized : Reading.Nothing;
      this.#left = head.length;
    }
    if (this.#reading !== Reading.Nothing) this.#body = new RequestBody(() => this.#bodyWanted());
    return this.#body;
  }

  /** Somebody wants more of the body. */
  #bodyWanted(): void {
    const exchange = this.#exchange;
    if (exchange !== null && !exchange.continued && this.#body!.wanted) {
      exchange.continued = true;
      if (!exchange.answered) this.#output.bytes(latin1("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    this.#takeOn();
  }

  /** Has data offered that was not taken. */
  #takeOn(): void {
    if (!this.#held || this.#receiving || this.#over) return;
    this.#held = false;
    this.#connection.resume();
  }

  #bodyEnded(): void {
    const body = this.#body!;
    this.#body = null;
    this.#releaseParser();
    this.#reading = this.#exchange === null ? Reading.Head : Reading.Nothing;
    body.end();
    if (this.#exchange === null) this.#settled();
  }

  #respond(exchange: Exchange, response: Response): void {
    let sending: Promise<void> | null;
    try {
      sending = respond(exchange, response, this.#output, this.#owner);
    } catch (error) {
      this.#failed(exchange, error);
      return;
    }
    if (sending === null) this.#sent(exchange);
    else sending.then(() => this.#sent(exchange), (error) => this.#failed(exchange, error));
  }

  /** A response is complete, but may still wait for room. */
  #sent(exchange: Exchange): void {
    if (exchange.over) return;
    exchange.sent = true;
    if (this.#output.blocked) this.#output.whenDrained(() => this.#answered(exchange));
    else this.#answered(exchange);
  }

  /** A response was handed over whole. */
  #answered(exchange: Exchange): void {
    if (exchange.over) return;
    exchange.done();
    this.#exchange = null;
    if (!exchange.keepAlive || this.#owner.closing) {
      // While data is being taken, and while some waits, to close the connection would be to reset it.
      if (this.#reading === Reading.Nothing && !this.#receiving && !this.#held) this.#close();
      else this.#linger();
      return;
    }
    if (this.#body !== null) {
      // What nobody read of the body is in the way of the next request.
      this.#body.discard();
      return;
    }
    this.#reading = Reading.Head;
    this.#settled();
  }

  /** Everything before the next request is over. */
  #settled(): void {
    if (this.#peerFinished) return this.#close();
    if (this.#receiving) return;
    this.#allowHead(this.#owner.clock.time());
    this.#takeOn();
  }

  /** A handler or the body of its response has failed: the error is reported, and the client told if it still can be. */
  async #failed(exchange: Exchange, error: unknown): Promise<void> {
    // That the client is gone is no fault of the handler's.
    if (exchange.over && error instanceof Deno.errors.ConnectionReset) return;
    exchange.reader?.cancel(error).catch(() => {});
    exchange.reader = null;
    let response: Response;
    try {
      response = await this.#owner.options.onError(error);
    } catch (again) {
      console.error("Error handler failed:", again);
      response = new Response("Internal Server Error", { status: 500 });
    }
    if (exchange.over) return;
    if (exchange.answered) {
      // Half a response must not look like a whole one, as it would where the end of the connection is its end.
      if (exchange.head.minor === 0) return this.abort();
      exchange.lost(gone());
      this.#exchange = null;
      return this.#linger();
    }
    exchange.keepAlive = false;
    try {
      await respond(exchange, response, this.#output, { closing: true });
      this.#sent(exchange);
    } catch (again) {
      console.error("Error handler's response failed:", again);
      this.abort();
    }
  }

  /** Ends the connection with a bare response; for what never becomes a request. */
  #refuse(status: number): void {
    this.#releaseParser();
    this.#output.bytes(
      latin1(`HTTP/1.1 ${status} ${REASONS[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`),
    );
    this.#linger();
  }

  #linger(): void {
    this.#reading = Reading.Rest;
    this.#body = null;
    this.#releaseParser();
    if (this.#over) return;
    if (this.#peerFinished) return this.#close();
    this.#output.whenDrained(() => this.#over || this.#connection.closeWrite());
    this.#allow(LINGER, this.#owner.clock.time());
    this.#takeOn();
  }

  #close(): void {
    this.#reading = Reading.Rest;
    this.#due = Infinity;
    this.#releaseParser();
    if (!this.#over) this.#connection.close();
  }

  #releaseParser(): void {
    if (this.#parser === null) return;
    returnParser(this.#parser);
    this.#parser = null;
    this.#headBytes = 0;
  }

  /** Gives the client time for the next header: all of it from its first byte on, or as long as it may be idle. */
  #allowHead(now: number): void {
    const { headerTimeout, keepAliveTimeout } = this.#owner.options.limits;
    if (this.#headBytes === 0) this.#allow(keepAliveTimeout, now);
    else if (this.#headBytes > 0 && !this.#timingHead) this.#allow(headerTimeout, now);
    this.#timingHead = this.#headBytes > 0;
  }

  /** The time that runs is that of a header. */
  #timingHead = true;

  /** Gives the client `milliseconds` from now on; 0 for all the time it wants. */
  #allow(milliseconds: number, now: number): void {
    this.#progress = this.#received + this.#output.sent;
    this.#due = milliseconds === 0 ? Infinity : now + milliseconds * 1000;
    // An alarm that rings too early looks again: that is cheaper than to set it twice a request.
    if (this.#due < this.#alarm.deadline) this.#alarm.set(milliseconds * 1000);
  }

  /** The time that a client had is over, or its alarm rang early. */
  #check(): void {
    if (this.#over) return;
    const now = this.#owner.clock.time();
    if (now < this.#due) {
      if (this.#due !== Infinity) this.#alarm.set(this.#due - now);
      return;
    }
    if (this.#reading === Reading.Rest) return this.#close();
    if (this.#exchange === null && this.#body === null) {
      // Nobody is idle whose next request is there and only waits for the event loop, which was busy that long.
      if (this.#headBytes === 0 && this.#connection.readable > 0) {
        this.#allow(this.#owner.options.limits.keepAliveTimeout, now);
        return this.#connection.resume();
      }
      if (this.#timingHead) this.#refuse(408);
      else this.#close();
      return;
    }
    const moved = this.#received + this.#output.sent !== this.#progress;
    // A handler may take as long as it likes: only what the client owes counts.
    const stalled = this.#output.blocked ||
      (this.#body !== null && (this.#body.wanted || this.#body.discarding));
    if (moved || !stalled) this.#allow(this.#owner.options.limits.stallTimeout, now);
    else this.abort();
  }
}
