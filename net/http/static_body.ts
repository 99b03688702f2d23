/**
 * Looks into a `Response` without making streams and iterators of it, which costs several times what answering does.
 *
 * Deno keeps header list and body of a response behind two symbols. They are not part of its public interface, so they
 * are tried out on samples when this module is loaded; where a sample is not what the public interface says, everything
 * goes through the public interface.
 *
 * @module
 */

/** A body that is there at once; undefined for one that has to be read as a stream; null for none. */
export type StaticBody = string | Uint8Array<ArrayBuffer> | null | undefined;

interface InnerBody {
  streamOrStatic: { body?: unknown; consumed?: unknown };
}

type Inside = Record<symbol, unknown>;
/** Fields: names in any case, and values. */
export type Pairs = readonly (readonly [name: string, value: string])[];

let responseSymbol: symbol | null = null;
let bodySymbol: symbol | null = null;
/** Where Deno keeps a content type that is the only field, until somebody asks for the others. */
let typeSymbol: symbol | null = null;

/**
 * Takes the body of a response, which counts as used afterwards.
 * @returns Undefined, and the response untouched, if it has to be read as a stream.
 */
export function takeStaticBody(response: Response): StaticBody {
  if (bodySymbol === null) return response.body === null ? null : undefined;
  const inner = (response as unknown as Inside)[bodySymbol] as InnerBody | null;
  if (inner === null) return null;
  const held = inner.streamOrStatic;
  if (held.consumed !== false) return undefined;
  const { body } = held;
  if (typeof body !== "string" && !(body instanceof Uint8Array)) return undefined;
  held.consumed = true;
  return body as string | Uint8Array<ArrayBuffer>;
}

/** The fields of a response's header; names in any case. To be called after {@link takeStaticBody}. */
export function headerFields(response: Response): Pairs {
  if (responseSymbol === null) return [...response.headers];
  const inside = response as unknown as Inside;
  const type = typeSymbol === null ? null : inside[typeSymbol];
  if (typeof type === "string") return [["content-type", type]];
  return (inside[responseSymbol] as { headerList: Pairs }).headerList;
}

function named(target: object, name: string): symbol | null {
  return Object.getOwnPropertySymbols(target).find(({ description }) => description === name) ?? null;
}

/** Whether what the symbols lead to is what the public interface says. */
function understood(make: () => Response, body: StaticBody): boolean {
  const probe = make();
  const used = probe.bodyUsed;
  const found = takeStaticBody(probe);
  const same = found instanceof Uint8Array && body instanceof Uint8Array
    ? String(found) === String(body)
    : found === body;
  const fields = headerFields(probe).map(([name, value]) => `${name.toLowerCase()}: ${value}`).sort();
  const expected = [...make().headers].map(([name, value]) => `${name}: ${value}`).sort();
  return same && !used && probe.bodyUsed === (typeof body === "string" || body instanceof Uint8Array) &&
    String(fields) === String(expected);
}

/** A response whose fields somebody has looked at. */
function touched(response: Response): Response {
  response.headers.append("x-probe", "1");
  return response;
}

try {
  responseSymbol = named(new Response("probe"), "response");
  bodySymbol = named(Response.prototype, "body");
  typeSymbol = named(new Response("probe"), "lazy static content type");
  // Types that Deno keeps there, and one that it does not.
  const type = { "content-type": "text/plain" }, json = { "content-type": "application/json" };
  const html = { "content-type": "text/html" };
  const headers = { "X-Probe": "1", "content-type": "text/plain" };
  const bytes = new Uint8Array([1, 2, 3]);
  const known = responseSymbol !== null && bodySymbol !== null &&
    understood(() => new Response("probe"), "probe") &&
    understood(() => new Response("probe", { headers }), "probe") &&
    understood(() => new Response("probe", { headers: type }), "probe") &&
    understood(() => new Response("probe", { headers: json }), "probe") &&
    understood(() => new Response("probe", { headers: html }), "probe") &&
    understood(() => new Response(bytes, { headers: type }), bytes) &&
    understood(() => new Response("probe", { headers: type, status: 404 }), "probe") &&
    understood(() => Response.json({ probe: 1 }, { headers: type }), '{"probe":1}') &&
    understood(() => touched(new Response("probe", { headers: type })), "probe") &&
    understood(
      () => new Response("probe", { headers: [["Set-Cookie", "a"], ["Set-Cookie", "b"]] }),
      "probe",
    ) &&
    understood(() => new Response(bytes, { headers: new Headers(headers), status: 404 }), bytes) &&
    understood(() => Response.json({ probe: 1 }), '{"probe":1}') &&
    understood(() => new Response(null, { headers }), null) &&
    understood(() => new Response(new ReadableStream(), { headers }), undefined);
  if (!known) responseSymbol = bodySymbol = null;
} catch {
  responseSymbol = bodySymbol = null;
}
