/**
 * An HTTP server that sends back what it is sent, streamed, and shows each GET request as it came.
 *
 *     ip tuntap add dev tap0 mode tap vnet_hdr && ip addr add 10.0.0.1/24 dev tap0 && ip link set tap0 up
 *     deno task example http_echo --device tap:tap0 --address 10.0.0.2/24
 *     curl -s --data-binary @FILE http://10.0.0.2/ | cmp - FILE
 *
 * @module
 */

import type { Network, ServeInfo } from "../net/mod.ts";
import { State } from "../stack/tcp/api.ts";
import { main, numberOption } from "./options.ts";

const STARTED = performance.now();

/** What a GET shows. */
interface Report {
  request: { method: string; url: string; headers: Record<string, string> };
  connection: { local: string; remote: string; state: string; unacknowledged: number };
  host: { uptime: string; runtime: string; interfaces: string[]; connections: number };
}

function report(request: Request, info: ServeInfo, network: Network): Report {
  const { localAddr, remoteAddr, connection } = info;
  return {
    request: { method: request.method, url: request.url, headers: Object.fromEntries(request.headers) },
    connection: {
      local: `${localAddr.hostname}:${localAddr.port}`,
      remote: `${remoteAddr.hostname}:${remoteAddr.port}`,
      state: State[connection.state]!,
      unacknowledged: connection.unacknowledged,
    },
    host: {
      uptime: `${((performance.now() - STARTED) / 1000).toFixed(3)} s`,
      runtime: `Deno ${Deno.version.deno}, process ${Deno.pid}`,
      interfaces: network.stack.interfaces.map((one) =>
        `${one.name} ${Array.from(one.device.mac, (byte) => byte.toString(16).padStart(2, "0")).join(":")} ${
          one.addresses.join(" ")
        }`
      ),
      connections: network.stack.tcp.size,
    },
  };
}

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

function rows(part: object): string {
  return Object.entries(part).map(([name, value]) => {
    const shown = typeof value === "object" && value !== null && !Array.isArray(value)
      ? `<table>${rows(value)}</table>`
      : escape(Array.isArray(value) ? value.join("\n") : String(value));
    return `<tr><th>${escape(name)}</th><td>${shown}</td></tr>`;
  }).join("\n");
}

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 3rem auto; padding: 0 1rem; }
th { text-align: left; vertical-align: top; padding-right: 1.5rem; font-weight: normal; opacity: .6; }
td { white-space: pre-wrap; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
:root { color-scheme: light dark; }
form { margin-top: 2rem; } textarea { width: 100%; height: 5rem; }`;

function page(shown: Report): string {
  const parts = Object.entries(shown).map(([name, part]) => `<h2>${name}</h2>\n<table>${rows(part)}</table>`);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Ethox for Deno</title><style>${STYLE}</style></head>
<body><h1>Ethox for Deno</h1>
<p>This answer went through a TCP/IP stack in TypeScript. What is posted here comes back as it went.</p>
${parts.join("\n")}
<form method="post" enctype="text/plain"><textarea name="text">Hello</textarea><button>Echo</button></form>
</body></html>
`;
}

function answer(request: Request, info: ServeInfo, network: Network): Response {
  if (request.method === "GET" || request.method === "HEAD") {
    const shown = report(request, info, network);
    return request.headers.get("accept")?.includes("text/html")
      ? new Response(page(shown), { headers: { "content-type": "text/html; charset=utf-8" } })
      : new Response(JSON.stringify(shown, null, 2) + "\n", {
        headers: { "content-type": "application/json" },
      });
  }
  if (request.method !== "POST" && request.method !== "PUT") {
    return new Response("Use GET, POST or PUT\n", {
      status: 405,
      headers: { allow: "GET, HEAD, POST, PUT" },
    });
  }
  const headers = new Headers();
  for (const name of ["content-type", "content-length"]) {
    const value = request.headers.get(name);
    if (value !== null) headers.set(name, value);
  }
  return new Response(request.body, { headers });
}

await main({
  name: "http_echo",
  summary: "Serves HTTP: POST comes back as it went, GET shows the request.",
  early: true,
  options: { port: { type: "string", value: "N", help: "where to listen; 80 by default" } },
}, async (run) => {
  const { network, signal } = run;
  const port = numberOption(run, "port", 1, 65535, 80);
  const server = network.serve({ port, onListen() {} }, (request, info) => answer(request, info, network));
  signal.addEventListener("abort", () => server.close());
  // It answers at each address as soon as the network has given it.
  const told = new Set<string>();
  const tell = () => {
    for (const cidr of network.configuration.addresses) {
      const address = cidr.replace(/\/.*/, "");
      if (told.has(address) || signal.aborted) continue;
      told.add(address);
      const host = address.includes(":") ? `[${address}]` : address;
      console.log(`Listening on http://${host}${port === 80 ? "" : `:${port}`}/`);
    }
  };
  network.configuration.addEventListener("change", tell);
  tell();
  run.settled.then(tell, (error) => {
    console.error(`http_echo: ${error.message}`);
    Deno.exit(1);
  });
  // With --hostname, others of the link find it by name and as a service.
  if (run.values["hostname"] !== undefined) {
    network.advertise({ name: `Echo of ${run.values["hostname"]}`, type: "_http._tcp", port, signal }).then(
      () => console.log(`Found as ${network.mdns.hostname}`),
      (error) => signal.aborted || console.error(`http_echo: ${error.message}`),
    );
  }
  await server.finished;
});
