/**
 * `fast_open_host.ts TAP CIDR`: a host that takes Fast Open on port 7, answers with what came first, and prints one
 * line of JSON for each connection. For each line `ADDRESS PORT TEXT` of its standard input it opens a connection with that text.
 *
 * @module
 */

import { Network } from "../../mod.ts";
import type { TcpConn } from "../../mod.ts";
import type { Connection } from "../../stack/tcp/api.ts";
import { TextLineStream } from "../harness/lines.ts";

const [device = "", address = ""] = Deno.args;

/** `INFO_SYN_DATA`: the SYN's data was taken. */
const synData = (connection: Connection): boolean => (connection.info().options & 32) !== 0;

async function readAll(conn: TcpConn): Promise<string> {
  return await new Response(conn.readable).text();
}

await using network = await Network.open({ device: `tap:${device}`, addresses: [address] });

async function serve(): Promise<void> {
  for await (const conn of network.listen({ port: 7, fastOpen: 8 })) {
    const buffer = new Uint8Array(4096);
    const length = await conn.read(buffer) ?? 0;
    const request = new TextDecoder().decode(buffer.subarray(0, length));
    await conn.write(new TextEncoder().encode(`ethox got ${request}`));
    console.log(JSON.stringify({ request, synData: synData(conn.connection) }));
    conn.close();
  }
}

serve();
console.log("listening");
for await (
  const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  const [hostname = "", port = "", text = ""] = line.split(" ");
  const conn = await network.connect({
    hostname,
    port: Number(port),
    fastOpen: new TextEncoder().encode(text),
  });
  const answer = await readAll(conn);
  console.log(JSON.stringify({ answer, synData: synData(conn.connection) }));
}
