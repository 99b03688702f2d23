/**
 * `signed_host.ts TAP CIDR4 CIDR6 KEY PEER…`: a host that sends back what comes to port 7, from the peers with whom it has a key. For
 * each line `ADDRESS PORT KEY BYTES` of its standard input it opens a connection, and prints how many bytes came back as they
 * went; `counters` prints what was dropped for its signature.
 *
 * @module
 */

import { Network } from "../../mod.ts";
import { IpAddress } from "../../stack/ip/address.ts";
import { SignatureKeys } from "../../stack/tcp/signatures.ts";
import { TextLineStream } from "../harness/lines.ts";

/** Milliseconds after which an attempt to connect is given up. */
const PATIENCE = 3000;

const [device = "", cidr4 = "", cidr6 = "", key = "", ...peers] = Deno.args;
await using network = await Network.open({ device: `tap:${device}`, addresses: [cidr4, cidr6] });

function keysFor(hosts: string[], text: string): SignatureKeys {
  const keys = new SignatureKeys();
  for (const host of hosts) keys.set(IpAddress.parse(host), new TextEncoder().encode(text));
  return keys;
}

async function serve(): Promise<void> {
  for await (const conn of network.listen({ port: 7, signatures: keysFor(peers, key) })) {
    conn.readable.pipeTo(conn.writable).catch(() => {});
  }
}

async function ask(hostname: string, port: number, text: string, bytes: number): Promise<number> {
  using conn = await network.connect({
    hostname,
    port,
    signatures: keysFor([hostname], text),
    timeout: PATIENCE,
  });
  const data = Uint8Array.from({ length: bytes }, (_, i) => i * 31 & 255);
  const sent = (async () => {
    const writer = conn.writable.getWriter();
    await writer.write(data);
    await writer.close();
  })();
  const back = new Uint8Array(await new Response(conn.readable).arrayBuffer());
  await sent;
  if (!back.every((byte, i) => byte === data[i])) throw new Error("What came back is not what went");
  return back.length;
}

serve();
console.log("listening");
for await (
  const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  if (line === "counters") {
    const { badSignatures, missingSignatures, unexpectedSignatures } = network.stack.tcp.counters;
    console.log(JSON.stringify({ badSignatures, missingSignatures, unexpectedSignatures }));
    continue;
  }
  const [hostname = "", port = "", text = "", bytes = ""] = line.split(" ");
  try {
    console.log(JSON.stringify({ back: await ask(hostname, Number(port), text, Number(bytes)) }));
  } catch (error) {
    console.log(JSON.stringify({ error: (error as Error).name }));
  }
}
