/**
 * Node's own HTTP parser, llhttp, as WebAssembly: the build that undici carries. No leniency is switched on.
 *
 * All parsers share one instance and one input buffer, which is free again as soon as a call returns.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import source from "undici/lib/llhttp/llhttp-wasm.js" with { type: "text" };
import type { Bytes } from "../../stack/packet.ts";
import { RequestHead } from "./head.ts";

/** Most bytes that a parser takes at a time. */
const BUFFER = 64 * 1024;
/** Parsers that are kept for reuse. */
const POOL = 1024;
/** `HPE_OK`, `HPE_PAUSED`, `HPE_PAUSED_UPGRADE`; everything else is a fault of the client. */
const OK = 0, PAUSED = 21, PAUSED_UPGRADE = 22;
/** `HTTP_REQUEST`. */
const REQUEST = 1;
const METHOD_CONNECT = 5;

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_reset(parser: number): void;
  llhttp_resume(parser: number): void;
  llhttp_resume_after_upgrade(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  malloc(size: number): number;
}

/** Where a parser stands. */
export enum ParserState {
  /** Within a header. */
  Head,
  /** Behind a header, which {@link RequestParser.head} holds. */
  HeadDone,
  /** Within a chunked body. */
  Body,
  /** Behind a chunked body and its trailers. */
  BodyDone,
  /** The client sent what HTTP forbids. */
  Failed,
}

/** The parser that is at work; calls do not nest. */
let current: RequestParser;
let llhttp: Exports | null = null;
let input = 0;
let memory: Buffer = Buffer.alloc(0);

/**
 * The module's bytes, out of the text of undici's file, which has them in base64. Imported as the CommonJS module that it
 * is, a bundler would copy each of 50,000 bytes as a property with a getter.
 */
function bytes(): Bytes {
  const base64 = /'([A-Za-z0-9+/]{1000,}={0,2})'/.exec(source)?.[1];
  if (base64 === undefined) throw new Error("Cannot find the WebAssembly module in undici's llhttp-wasm.js");
  return Uint8Array.fromBase64(base64);
}

/** Made with the first parser: a program that serves no HTTP pays nothing. */
function load(): Exports {
  const env = {
    wasm_on_message_begin: () => 0,
    wasm_on_status: () => 0,
    wasm_on_url: (_: number, at: number, length: number) => current.onUrl(at - input, length),
    wasm_on_header_field: (_: number, at: number, length: number) => current.onName(at - input, length),
    wasm_on_header_value: (_: number, at: number, length: number) => current.onValue(at - input, length),
    wasm_on_headers_complete: (_: number, _status: number, _upgrade: number, keepAlive: number) =>
      current.onHead(keepAlive !== 0),
    wasm_on_body: (_: number, at: number, length: number) => current.onBody(at, length),
    wasm_on_message_complete: () => current.onEnd(),
  };
  const module = new WebAssembly.Module(bytes());
  const exports = new WebAssembly.Instance(module, { env }).exports as unknown as Exports;
  exports._initialize();
  input = exports.malloc(BUFFER);
  return exports;
}

/** Parses the requests of one connection, one after the other. */
export class RequestParser {
  /** What was read up to now. */
  state: ParserState = ParserState.Head;
  /** The header, in {@link ParserState.HeadDone} and after it. */
  head: RequestHead | null = null;
  /** Bytes of the body that the last call to {@link feed} found. */
  bodyLength = 0;
  /** Bytes since the body last went on: chunk sizes, their extensions, trailers. */
  overhead = 0;

  readonly #parser: number;
  /** Bytes of earlier calls that belong to the header under way, as Latin-1. */
  #text = "";
  #targetStart = -1;
  #targetEnd = -1;
  /** Of each field: start and end of its name, start and end of its value. */
  #fields: number[] = [];
  /** Start and end of each piece of body in the buffer. */
  #pieces: number[] = [];
  #lastPiece = 0;

  /** Takes memory of the WebAssembly instance until {@link free}. */
  constructor() {
    llhttp ??= load();
    this.#parser = llhttp.llhttp_alloc(REQUEST);
  }

  /** Gives its memory back. */
  free(): void {
    llhttp!.llhttp_free(this.#parser);
  }

  /** Begins with a new request, whatever came before. */
  reset(): void {
    llhttp!.llhttp_reset(this.#parser);
    this.state = ParserState.Head;
    this.head = null;
    this.overhead = 0;
    this.#text = "";
    this.#targetStart = -1;
    this.#fields = [];
  }

  /** Goes on behind a header, into a chunked body. */
  beginBody(): void {
    this.state = ParserState.Body;
    llhttp!.llhttp_resume(this.#parser);
  }

  /**
   * Parses some bytes; stops behind a header and behind a body.
   * @returns How many were used, at most `length`; less only when it stopped.
   */
  feed(bytes: Bytes, offset: number, length: number): number {
    const exports = llhttp!;
    const count = Math.min(length, BUFFER);
    // Memory that grew is a new one.
    if (memory.length === 0) memory = Buffer.from(exports.memory.buffer as ArrayBuffer);
    memory.set(bytes.subarray(offset, offset + count), input);
    current = this;
    this.bodyLength = 0;
    this.#pieces.length = 0;
    this.#lastPiece = 0;
    const error = exports.llhttp_execute(this.#parser, input, count);
    const used = error === OK ? count : exports.llhttp_get_error_pos(this.#parser) - input;
    if (error !== OK && error !== PAUSED && error !== PAUSED_UPGRADE) {
      this.state = ParserState.Failed;
      return count;
    }
    if (this.state === ParserState.Head) this.#text += memory.toString("latin1", input, input + used);
    else if (this.state === ParserState.HeadDone) this.#finishHead(used);
    else this.overhead = used - this.#lastPiece + (this.bodyLength === 0 ? this.overhead : 0);
    return used;
  }

  /** Copies the body that the last call to {@link feed} found. @param target At least {@link bodyLength} bytes. */
  copyBody(target: Bytes): void {
    const pieces = this.#pieces;
    for (let i = 0, at = 0; i < pieces.length; i += 2) {
      target.set(memory.subarray(pieces[i], pieces[i + 1]), at);
      at += pieces[i + 1]! - pieces[i]!;
    }
  }

  /** @internal */
  onUrl(at: number, length: number): number {
    at += this.#text.length;
    if (this.#targetStart < 0) this.#targetStart = at;
    this.#targetEnd = at + length;
    return 0;
  }

  /** @internal */
  onName(at: number, length: number): number {
    if (this.state !== ParserState.Head) return 0;
    const fields = this.#fields;
    at += this.#text.length;
    // A name that came in two pieces.
    if (fields.length % 4 === 2 && fields[fields.length - 1] === at) fields[fields.length - 1] = at + length;
    else {
      if (fields.length % 4 === 2) fields.push(at, at);
      fields.push(at, at + length);
    }
    return 0;
  }

  /** @internal */
  onValue(at: number, length: number): number {
    if (this.state !== ParserState.Head) return 0;
    const fields = this.#fields;
    at += this.#text.length;
    if (fields.length % 4 === 2) fields.push(at, at + length);
    else fields[fields.length - 1] = at + length;
    return 0;
  }

  /** @internal */
  onHead(keepAlive: boolean): number {
    const exports = llhttp!;
    const parser = this.#parser;
    const head = this.head = new RequestHead();
    head.keepAlive = keepAlive;
    head.major = exports.llhttp_get_http_major(parser);
    head.minor = exports.llhttp_get_http_minor(parser);
    head.connect = exports.llhttp_get_method(parser) === METHOD_CONNECT;
    this.state = ParserState.HeadDone;
    return PAUSED;
  }

  /** @internal */
  onBody(at: number, length: number): number {
    this.#pieces.push(at, at + length);
    this.bodyLength += length;
    this.#lastPiece = at + length - input;
    return 0;
  }

  /** @internal */
  onEnd(): number {
    this.state = ParserState.BodyDone;
    return PAUSED;
  }

  #finishHead(used: number): void {
    const fields = this.#fields;
    if (fields.length % 4 === 2) fields.push(0, 0);
    const text = this.#text + memory.toString("latin1", input, input + used);
    this.head!.read(text, this.#targetStart, this.#targetEnd, fields);
  }
}

const pool: RequestParser[] = [];

/** A parser at the beginning of a request. */
export function takeParser(): RequestParser {
  return pool.pop() ?? new RequestParser();
}

/** Takes a parser back: an idle connection has none. */
export function returnParser(parser: RequestParser): void {
  if (pool.length >= POOL) return parser.free();
  parser.reset();
  pool.push(parser);
}
