/**
 * The header of a response as text.
 *
 * @module
 */

import { headerFields } from "./static_body.ts";
import { reasonPhrase } from "./reason_phrase.ts";

let dateSecond = 0;
let dateText = "";

/** The Date field, made anew each second. */
function dateField(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = `date: ${new Date(second * 1000).toUTCString()}\r\n`;
  }
  return dateText;
}

/** A response's header without its framing, and what the response itself says about that. */
export class ResponseHead {
  /** Status line and fields, each with its CRLF. */
  readonly text: string;
  /** Its Content-Length field, or -1. */
  readonly length: number = -1;
  /** Whether it asks for the connection to be closed. */
  readonly close: boolean = false;

  /** @throws {TypeError} If the status can't be that of an answer. */
  constructor(response: Response) {
    const { status } = response;
    if (status < 200) {
      throw new TypeError(`Cannot answer with status "${status}": return a status from 200 to 599`);
    }
    let text = status === 200 && response.statusText === ""
      ? "HTTP/1.1 200 OK\r\n"
      : `HTTP/1.1 ${status} ${response.statusText || reasonPhrase(status)}\r\n`;
    let dated = false;
    for (const field of headerFields(response)) {
      const name = field[0] === "Content-Type" ? "content-type" : field[0].toLowerCase();
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
      }
      text += name + ": " + value + "\r\n";
    }
    this.text = dated ? text : text + dateField();
  }

  /**
   * All of the header.
   * @param framing Content-Length or Transfer-Encoding with its CRLF, or nothing. @param keepAlive False if the connection ends with this response.
   */
  with(framing: string, keepAlive: boolean): string {
    return this.text + framing + (keepAlive ? "connection: keep-alive\r\n\r\n" : "connection: close\r\n\r\n");
  }
}
