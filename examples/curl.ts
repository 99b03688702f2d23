/**
 * Fetches a URL over the stack and prints the body.
 *
 *     deno task example curl --device tap:tap0 --address 10.0.0.2/24 http://10.0.0.1:8000/
 *     deno task example curl --device tap:tap0 --address 10.0.0.2/24 --dns 10.0.0.1 http://www.example/
 *
 *     deno task example curl --device tap:tap0 --address 10.0.0.2/24 --trace /dev/stderr http://10.0.0.1:8000/
 *
 * With `--trace` every event of its connections is a line of JSON: segments, retransmissions and why, windows, round trips.
 *
 * @module
 */

import { main, UsageError } from "./options.ts";

await main({
  name: "curl",
  summary: "Fetches over HTTP and prints the body.",
  positionals: "URL",
  options: {
    include: { type: "boolean", help: "prints the header too" },
    head: { type: "boolean", help: "asks for the header alone, and prints it" },
    data: { type: "string", value: "TEXT|@FILE", help: "posts a text or a file" },
    output: { type: "string", value: "FILE", help: "writes the body to a file" },
    trace: {
      type: "string",
      value: "FILE",
      help: "writes what happens on the connections, as lines of JSON",
    },
  },
}, async ({ network, values, positionals: [url, ...more], signal }) => {
  if (url === undefined || more.length > 0) throw new UsageError("Give one URL");
  const target = URL.parse(/^[a-z]+:\/\//.test(url) ? url : `http://${url}`);
  if (target === null) throw new UsageError(`URL is "${url}": give one as http://10.0.0.1/`);
  const data = values["data"] as string | undefined;
  const init: RequestInit = { signal, method: values["head"] ? "HEAD" : data === undefined ? "GET" : "POST" };
  if (data?.startsWith("@")) {
    const file = await Deno.open(data.slice(1));
    const headers = {
      "content-type": "application/octet-stream",
      "content-length": String((await file.stat()).size),
    };
    Object.assign(init, { body: file.readable, duplex: "half", headers });
  } else if (data !== undefined) {
    init.body = data;
    init.headers = { "content-type": "application/x-www-form-urlencoded" };
  }
  const trace = values["trace"] as string | undefined;
  // Connections outlive the fetch: it stays open until the program ends.
  const log = trace === undefined
    ? null
    : Deno.openSync(trace, { write: true, create: true, truncate: true });
  if (log !== null) {
    const encoder = new TextEncoder();
    network.stack.tcp.tracer = () => (event) => log.writeSync(encoder.encode(`${JSON.stringify(event)}\n`));
  }
  let response: Response;
  try {
    response = await network.fetch(target, init);
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message);
    throw error;
  }
  if (values["include"] || values["head"]) {
    console.log(`${response.status} ${response.statusText}`);
    for (const [name, value] of response.headers) console.log(`${name}: ${value}`);
    console.log();
  }
  const output = values["output"] as string | undefined;
  const sink = output === undefined
    ? Deno.stdout
    : await Deno.open(output, { write: true, create: true, truncate: true });
  await response.body?.pipeTo(sink.writable, { preventClose: output === undefined });
  if (response.status < 400) return 0;
  console.error(`curl: The server answered ${response.status} ${response.statusText}`);
  return 1;
});
