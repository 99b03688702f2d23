import assert from "node:assert/strict";
import { decodeMessage, encodeMessage } from "../../net/dns/message.ts";
import type { DnsMessage } from "../../net/dns/records.ts";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { Avahi } from "./avahi.ts";

const KERNEL = "10.83.0.1", HOST = "10.83.0.2";
const ARGS = ["--device", "tap:tap0", "--address", `${HOST}/24`];

/** A namespace whose kernel has a TAP, with groups on it. */
async function home(): Promise<Namespace> {
  const namespace = await Namespace.create();
  try {
    await namespace.tap("tap0", { addresses: [`${KERNEL}/24`] });
    await namespace.ip("route", "add", "224.0.0.0/4", "dev", "tap0");
    return namespace;
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("mdns.ts answers dig: addresses, names of addresses, services, and what is not there", async () => {
  await requireTools("ip", "dig");
  await using namespace = await home();
  const args = [...ARGS, "--hostname", "ethox", "advertise", "Our web.v2", "_http._tcp", "80", "path=/x"];
  await using program = namespace.deno("examples/mdns.ts", args, { deadline: 120_000 });
  await program.printed(/Listening as "Our web\.v2" of ethox\.local/);
  const dig = async (...question: string[]) => {
    const options = ["+short", "+tries=3", "+time=3", "-p", "5353", `@${HOST}`, ...question];
    return (await namespace.run("dig", options, { deadline: 90_000 })).stdout.trim();
  };
  assert.equal(await dig("ethox.local", "A"), HOST);
  assert.equal(await dig("-x", HOST), "ethox.local.");
  assert.equal(await dig("_http._tcp.local", "PTR"), "Our\\032web\\.v2._http._tcp.local.");
  assert.equal(await dig("Our\\032web\\.v2._http._tcp.local", "SRV"), "0 0 80 ethox.local.");
  assert.equal(await dig("Our\\032web\\.v2._http._tcp.local", "TXT"), '"path=/x"');
  assert.equal(await dig("ethox.local", "MX"), "");
  // This version of dig takes no answer from a host whose address it has not asked: a socket of the kernel's does.
  const query = encodeMessage({ id: 4711, questions: [{ name: "ETHOX.local", type: "A" }] });
  const code = `const socket = Deno.listenDatagram({ hostname: "0.0.0.0", port: 0, transport: "udp" });
    const to = { hostname: "224.0.0.251", port: 5353, transport: "udp" };
    await socket.send(Uint8Array.fromHex("${query.toHex()}"), to);
    const [bytes, from] = await socket.receive();
    console.log(from.hostname, bytes.toHex());`;
  const asked = await namespace.run(Deno.execPath(), ["eval", "--unstable-net", code], { deadline: 90_000 });
  const [from, bytes] = asked.stdout.trim().split(" ");
  assert.equal(from, HOST);
  const answer = decodeMessage(Uint8Array.fromHex(bytes!)) as DnsMessage;
  assert.equal(answer.id, 4711);
  assert.deepEqual(answer.answers, [{ name: "ethox.local", type: "A", ttl: 10, data: HOST }]);
});

Deno.test("mdns.ts and Avahi find each other's hosts and services, and hear each other go", async () => {
  await requireTools("ip", "avahi-daemon", "avahi-browse", "dbus-daemon");
  await using namespace = await home();
  // Avahi announces when the TAP has a link, which it has while one of ours is there.
  const browsing = namespace.deno("examples/mdns.ts", [...ARGS, "browse", "_http._tcp"], {
    deadline: 120_000,
  });
  await browsing.printed(/Listening/);
  await using avahi = await Avahi.start(namespace, "tap0", "peer", "Peer.web (x)");
  await browsing.printed(/found "Peer\.web \(x\)" at peer\.local:8081 \{"path":"\/peer"\} 10\.83\.0\.1/);
  await browsing.stop();

  const options = [...ARGS, "--hostname", "peer", "advertise", "Peer.web (x)", "_http._tcp", "80", "path=/x"];
  const program = namespace.deno("examples/mdns.ts", options, { deadline: 120_000 });
  // Both names are taken.
  await program.printed(/Listening as "Peer\.web \(x\) \(2\)" of peer-2\.local/);
  const browsed = await avahi.run("avahi-browse", "-r", "-t", "-p", "_http._tcp");
  const own = browsed.stdout.split("\n").find((line) =>
    line.startsWith("=") && line.includes("peer-2.local")
  );
  assert.match(own ?? browsed.stdout, /Peer\\.web.*;local;peer-2\.local;10\.83\.0\.2;80;"path=\/x"/);
  const resolved = await avahi.run("avahi-resolve", "-n", "-4", "peer-2.local");
  assert.match(resolved.stdout, /peer-2\.local\s+10\.83\.0\.2/, resolved.stderr);
  const name = await avahi.run("avahi-resolve", "-a", HOST);
  assert.match(name.stdout, /peer-2\.local/, name.stderr);
  await program.stop();
  // Goodbye: what is asked now is answered from what Avahi remembers, which is nothing of ours.
  const deadline = Date.now() + 20_000;
  for (;;) {
    const { stdout } = await avahi.run("avahi-browse", "-t", "-p", "-c", "_http._tcp");
    if (!stdout.includes("(2)") && !stdout.includes("\\0402\\041")) break;
    assert.ok(Date.now() < deadline, stdout);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
});
