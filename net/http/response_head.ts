/**
 * The header of a response as text.
 *
 * @module
 */

import type { Bytes } from "../../stack/packet.ts";
import { reasonPhrase } from "./reason_phrase.ts";
import { headerFields, type Pairs } from "./static_body.ts";

let dateSecond = 0;
let dateText = "";

/** Headers that are kept: a server has few, and sends each again and again. */
const KEPT = 16;
const kept: (ResponseHead | undefined)[] = Array.from({ length: KEPT });

/** The Date field of a second. */
function dateField(second: number): string {
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = `date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return dateText;
}

/**
 * The header of a response; the same object as long as responses are alike, and the second is the same.
 *
 * @param response Its body was taken if it is there at once. @throws {TypeError} If the status can't be that of an answer.
 */
export function responseHead(response: Response): ResponseHead {
  const fields = headerFields(response);
  const { status, statusText } = response;
  const second = Math.floor(Date.now() / 1000);
  let mixed = status;
  for (let i = 0; i < fields.length; i++) mixed += fields[i]![1].length;
  const at = mixed % KEPT;
  const known = kept[at];
  if (known !== undefined && known.isOf(status, statusText, fields, second)) return known;
  const head = new ResponseHead(status, statusText, fields, second);
  if (!head.personal) kept[at] = head;
  return head;
}

/** Text as Latin-1, as the bytes of fields may be. */
export function latin1(text: string): Bytes {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** A response's header without its framing, and what the response itself says about that. */
export class ResponseHead {
  /** Its Content-Length field, or -1. */
  readonly length: number = -1;
  /** Whether it asks for the connection to be closed. */
  readonly close: boolean = false;
  /** Whether it sets a cookie: it is for one client. */
  readonly personal: boolean = false;
  /** Status line and fields, each with its CRLF. */
  readonly #text: string;
  readonly #status: number;
  readonly #statusText: string;
  readonly #second: number;
  /** Names and values in turn: the response's own list may change. */
  readonly #fields: string[] = [];
  // The last header of a sized body, and of which.
  #bytes: Bytes | null = null;
  #size = 0;
  #keepAlive = false;

  /** @throws {TypeError} If the status can't be that of an answer. */
  constructor(status: number, statusText: string, fields: Pairs, second: number) {
    if (status < 200) {
      throw new TypeError(`Cannot answer with status "${status}": return a status from 200 to 599`);
    }
    this.#status = status;
    this.#statusText = statusText;
    this.#second = second;
    let text = `HTTP/1.1 ${status} ${statusText || reasonPhrase(status)}\r\n`;
    let dated = false;
    for (const field of fields) {
      this.#fields.push(field[0], field[1]);
      const name = field[0].toLowerCase();
      const value = field[1];
      // The framing of the connection is the server's.
      switch (name) {
        case "content-length":
          this.length = /^\d{1,15}$/.test(value) ? Number(value) : -1;
          continue;
        case "connection":
          if (/\bclose\b/i.test(value)) this.close = true;
          continue;
        case "transfer-encoding":
        case "keep-alive":
          continue;
        case "date":
          dated = true;
          break;
        case "set-cookie":
          this.personal = true;
      }
      text += name + ": " + value + "\r\n";
    }
    this.#text = dated ? text : text + dateField(second);
  }

  /** Whether it is the header of such a response. */
  isOf(status: number, statusText: string, fields: Pairs, second: number): boolean {
    const own = this.#fields;
    if (status !== this.#status || second !== this.#second || statusText !== this.#statusText) return false;
    if (own.length !== 2 * fields.length) return false;
    for (let i = 0; i < fields.length; i++) {
      const field = fields[i]!;
      if (field[0] !== own[2 * i] || field[1] !== own[2 * i + 1]) return false;
    }
    return true;
  }

  /**
   * All of the header, for a body of `size` bytes. The bytes belong to this object and stay as they are.
   * @param keepAlive False if the connection ends with this response.
   */
  sized(size: number, keepAlive: boolean): Bytes {
    if (this.#bytes !== null && size === this.#size && keepAlive === this.#keepAlive) return this.#bytes;
    this.#size = size;
    this.#keepAlive = keepAlive;
    return this.#bytes = this.framed("content-length: " + size + "\r\n", keepAlive);
  }

  /**
   * All of the header.
   * @param framing Content-Length or Transfer-Encoding with its CRLF, or nothing. @param keepAlive False if the connection ends with this response.
   */
  framed(framing: string, keepAlive: boolean): Bytes {
    const end = keepAlive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n";
    return latin1(this.#text + framing + end);
  }
}
