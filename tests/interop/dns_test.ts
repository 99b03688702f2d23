import assert from "node:assert/strict";
import { Namespace } from "../harness/namespace.ts";
import type { Process } from "../harness/process.ts";
import { requireTools } from "../harness/tools.ts";

const KERNEL = "10.82.0.1", KERNEL_V6 = "2001:db8:82::1";
const ADDRESSES = ["--address", "10.82.0.2/24", "--address", "2001:db8:82::2/64"];

/** What dnsmasq knows: a name with both addresses, an alias, and a record of each other type. */
const RECORDS = [
  `--host-record=www.example,${KERNEL},${KERNEL_V6}`,
  // Nobody has the IPv6 address: who connects has to try the other.
  `--host-record=half.example,${KERNEL},2001:db8:82::99`,
  "--cname=alias.example,www.example",
  "--mx-host=example,mail.example,10",
  "--txt-record=text.example,one,two",
  "--srv-host=_http._tcp.example,www.example,8080,1,2",
  "--naptr-record=example,1,2,S,SIP+D2U,,_sip._udp.example",
  "--caa-record=example,128,issue,ca.example",
  ...Array.from({ length: 10 }, (_, i) => `--txt-record=long.example,${String(i).repeat(250)}`),
];

/** A namespace with dnsmasq on the kernel's side of a TAP. */
async function home(...more: string[]): Promise<{ namespace: Namespace; server: Process } & AsyncDisposable> {
  await requireTools("ip", "dnsmasq");
  const namespace = await Namespace.create();
  try {
    await namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "0");
    await namespace.sysctl("net.ipv6.conf.default.accept_dad", "0");
    await namespace.tap("tap0", { addresses: [`${KERNEL}/24`, `${KERNEL_V6}/64`] });
    const server = namespace.spawn("dnsmasq", [
      // Unlike its --no-daemon, this answers others while a TCP connection is open.
      "--keep-in-foreground",
      "--log-facility=-",
      "--user=root",
      "--conf-file=/dev/null",
      "--no-resolv",
      "--no-hosts",
      "--local=/example/",
      "--log-queries",
      "--pid-file=",
      ...RECORDS,
      ...more,
    ], { deadline: 180_000 });
    await server.printed(/started, version/);
    return { namespace, server, [Symbol.asyncDispose]: () => namespace[Symbol.asyncDispose]() };
  } catch (error) {
    await namespace[Symbol.asyncDispose]();
    throw error;
  }
}

Deno.test("Network.resolveDns() gets every type of record from dnsmasq, over UDP and TCP, IPv4 and IPv6", async () => {
  await using here = await home();
  const questions = [
    [KERNEL, "www.example", "A"],
    [KERNEL_V6, "alias.example", "AAAA"],
    [KERNEL, KERNEL, "PTR"],
    [KERNEL, "example", "MX"],
    [KERNEL, "text.example", "TXT"],
    [KERNEL, "_http._tcp.example", "SRV"],
    [KERNEL, "example", "CAA"],
    [KERNEL_V6, "example", "NAPTR"],
    [KERNEL, "nowhere.example", "A"],
    [KERNEL, "text.example", "A"],
    [KERNEL, "outside.test", "A"],
    ["10.82.0.99", "www.example", "A"],
    [KERNEL, "long.example", "TXT"],
    [KERNEL_V6, "long.example", "TXT"],
  ];
  const args = ["tap:tap0", "10.82.0.2/24,2001:db8:82::2/64", JSON.stringify(questions)];
  const { code, stdout, stderr } = await here.namespace.deno("tests/interop/resolving_host.ts", args, {
    deadline: 60_000,
  }).ended;
  assert.equal(code, 0, stderr);
  const answers = JSON.parse(stdout) as unknown[][];
  const long = answers.splice(-2);
  assert.deepEqual(answers, [
    [KERNEL],
    [KERNEL_V6],
    ["www.example."],
    [{ preference: 10, exchange: "mail.example." }],
    [["one", "two"]],
    [{ priority: 1, weight: 2, port: 8080, target: "www.example." }],
    [{ critical: true, tag: "issue", value: "ca.example" }],
    [{
      order: 1,
      preference: 2,
      flags: "S",
      services: "SIP+D2U",
      regexp: "",
      replacement: "_sip._udp.example.",
    }],
    "ENOTFOUND",
    "ENODATA",
    "ESERVFAIL",
    "ETIMEOUT",
  ]);
  assert.deepEqual(long.map((texts) => texts.length), [10, 10]);
  const counters = JSON.parse(stderr.trim().split("\n").at(-1)!);
  assert.equal(counters.tcpQueries, 2);
  assert.deepEqual(Object.values(counters.dropped).filter((count) => count !== 0), []);
});

Deno.test("Network.resolveDns() asks the servers, in the domains, that a router tells of (RFC 8106)", async () => {
  await using here = await home(
    "--enable-ra",
    "--dhcp-range=2001:db8:82::,ra-only,64,10m",
    "--ra-param=tap0,4",
    `--dhcp-option=option6:dns-server,[${KERNEL_V6}]`,
    "--dhcp-option=option6:domain-search,nothing.example,example",
  );
  const questions = [["", "www", "AAAA"], ["", "nowhere.example", "AAAA"]];
  const args = ["tap:tap0", "", JSON.stringify(questions)];
  const { code, stdout, stderr } = await here.namespace.deno("tests/interop/resolving_host.ts", args, {
    deadline: 60_000,
  }).ended;
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), [[KERNEL_V6], "ENOTFOUND"], stderr);
});

Deno.test("resolve.ts prints addresses in the order in which they are tried, and errors in one line", async () => {
  await using here = await home();
  const resolve = (...args: string[]) => {
    const options = ["--device", "tap:tap0", ...ADDRESSES, "--dns", KERNEL, ...args];
    return here.namespace.deno("examples/resolve.ts", options, { deadline: 90_000 }).ended;
  };
  const { stdout, stderr } = await resolve("--all", "www.example");
  assert.equal(stdout, `${KERNEL_V6}\n${KERNEL}\n`, stderr);
  const wrong = await resolve("nowhere.example", "mx");
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^resolve: Cannot resolve "nowhere\.example": there is no such name\n$/);
});

Deno.test("curl.ts fetches by name, over the version that answers", async () => {
  await using here = await home();
  const { namespace } = here;
  const code = `Deno.serve({ port: 8000, hostname: "::" }, (r, i) => new Response(i.remoteAddr.hostname))`;
  await using server = namespace.spawn(Deno.execPath(), ["eval", code], { deadline: 60_000 });
  await server.printed(/Listening/);
  const curl = async (url: string) => {
    const options = ["--device", "tap:tap0", ...ADDRESSES, "--dns", KERNEL, url];
    const { stdout, stderr } = await namespace.deno("examples/curl.ts", options, { deadline: 90_000 }).ended;
    return stdout + stderr;
  };
  assert.match(await curl("http://www.example:8000/"), /2001:db8:82::2/);
  assert.match(await curl("http://half.example:8000/"), /10\.82\.0\.2/);
  assert.match(await curl("http://nowhere.example:8000/"), /no such name/);
});
