/**
 * The header of a request: text, and where in it what lies. Strings are cut out of it when they are asked for.
 *
 * @module
 */

/** A parsed header, and what follows from it for the framing of the message (RFC 9112, section 6). */
export class RequestHead {
  /** HTTP's major version. */
  major = 1;
  /** HTTP's minor version. */
  minor = 1;
  /** Whether the client wants the connection kept. */
  keepAlive = true;
  /** Whether the method is CONNECT. */
  connect = false;
  /** The method, as sent. */
  method = "";
  /** The request target, as sent. */
  target = "";
  /** The Host field, or null. */
  host: string | null = null;
  /** Bytes of the body; 0 without one, and if it is chunked. */
  length = 0;
  /** Whether the body is chunked. */
  chunked = false;
  /** Whether the client waits for `100 Continue`. */
  expects = false;
  /** The status that this header must be refused with, or 0. */
  refusal = 0;
  #text = "";
  #fields: readonly number[] = [];

  /**
   * Fills it in.
   *
   * @param text All of the header, as Latin-1. @param start Where the target starts. @param end Where it ends.
   * @param fields Of each field: start and end of its name, start and end of its value.
   */
  read(text: string, start: number, end: number, fields: readonly number[]): void {
    this.#text = text;
    this.#fields = fields;
    this.target = text.slice(start, end);
    // Empty lines may stand in front of a request.
    let first = 0;
    while (text.charCodeAt(first) <= 32) first++;
    this.method = text.startsWith("GET ", first) ? "GET" : text.slice(first, start).trimEnd();
    this.#frame();
  }

  /** The fields: name and value in turn. */
  list(): string[] {
    const list: string[] = [];
    for (let i = 0; i < this.#fields.length; i += 4) list.push(this.#name(i), this.#value(i));
    return list;
  }

  #name(at: number): string {
    return this.#text.slice(this.#fields[at], this.#fields[at + 1]);
  }

  #value(at: number): string {
    const text = this.#text;
    const start = this.#fields[at + 2]!;
    let end = this.#fields[at + 3]!;
    // Optional whitespace behind a value is not part of it (RFC 9112, section 5).
    while (end > start && (text.charCodeAt(end - 1) === 32 || text.charCodeAt(end - 1) === 9)) end--;
    return text.slice(start, end);
  }

  /** Finds the fields that matter for the framing. What is said twice, or in two ways, is refused. */
  #frame(): void {
    const fields = this.#fields;
    let sized = false;
    if (this.major !== 1 || this.minor > 1) this.refusal = 505;
    else if (this.connect || this.method === "TRACE") this.refusal = 501;
    for (let i = 0; i < fields.length; i += 4) {
      switch (fields[i + 1]! - fields[i]!) {
        case 4:
          if (this.#name(i).toLowerCase() !== "host") break;
          if (this.host !== null) this.refusal = 400;
          this.host = this.#value(i);
          break;
        case 6:
          if (this.#name(i).toLowerCase() !== "expect") break;
          if (this.#value(i).toLowerCase() === "100-continue") this.expects = this.minor > 0;
          else this.refusal ||= 417;
          break;
        case 14:
          if (this.#name(i).toLowerCase() !== "content-length") break;
          this.length = Number(this.#value(i));
          if (sized || !/^\d+$/.test(this.#value(i)) || !Number.isSafeInteger(this.length)) {
            this.refusal = 400;
          }
          sized = true;
          break;
        case 17:
          if (this.#name(i).toLowerCase() !== "transfer-encoding") break;
          // Only "chunked" is understood (RFC 9112, section 6.1); HTTP/1.0 does not know it at all.
          if (this.chunked || this.minor === 0) this.refusal = 400;
          else if (this.#value(i).toLowerCase() !== "chunked") this.refusal ||= 501;
          this.chunked = true;
          break;
      }
    }
    if (this.chunked && sized) this.refusal = 400;
    // RFC 9112, section 3.2.
    if (this.host === null && this.minor > 0) this.refusal ||= 400;
    if (this.length === 0 && !this.chunked) this.expects = false;
  }
}
