import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { scriptsAt } from "./packetdrill/main.ts";
import { runFile, verdictText } from "./packetdrill/runner/file_runner.ts";

const ROOT = fileURLToPath(new URL("./packetdrill", import.meta.url));

type Options = [name: string, value: string][];

function run(file: string, text: string, warnings: string[] = [], options: Options = []): string {
  return verdictText(
    runFile(file, options, () => text, { print: () => {}, warn: (line) => warnings.push(line) }),
  );
}

/** With an MTU of 1520 segments are as long over IPv6 as over IPv4. */
const VERSIONS: [name: string, options: Options][] = [
  ["ipv4", []],
  ["ipv6", [["ip_version", "ipv6"], ["mtu", "1520"]]],
  ["ipv4-mapped-ipv6", [["ip_version", "ipv4-mapped-ipv6"]]],
];

for (const file of scriptsAt(ROOT)) {
  const text = Deno.readTextFileSync(file);
  for (const [version, options] of VERSIONS) {
    // Scripts that name a version speak of what is not the same in the other.
    if (version !== "ipv4" && /^--ip_version=/m.test(text)) continue;
    Deno.test(`packetdrill ${file.slice(ROOT.length + 1)} ${version}`, () => {
      const warnings: string[] = [];
      assert.equal(run(file, text, warnings, options), `PASS ${file}`);
      // What the runner passes over proves nothing.
      assert.deepEqual(warnings, []);
    });
  }
}

const OPEN = `
0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0 bind(3, ..., ...) = 0
+0 listen(3, 1) = 0
+0 < S 0:0(0) win 1000
+0 > S. 0:0(0) ack 1 <mss 1460>
+.1 < . 1:1(0) ack 1 win 1000
+0 accept(3, ..., ...) = 4
`;

Deno.test("packetdrill names line, expectation and what came when a script is wrong", () => {
  const cases: [string, RegExp][] = [
    [
      "+0 write(4, ..., 10) = 10\n+0 > P. 1:12(11) ack 1",
      /^FAIL x:10: expected P. 1:12\(11\) ack 1 got P. 1:11\(10\) ack 1/,
    ],
    [
      "+0 write(4, ..., 10) = 10\n+.2 > P. 1:11(10) ack 1",
      /^FAIL x:10: expected .* at 0.300000 s got it at 0.100045 s/,
    ],
    // Segments may be told in other pieces only where the device cuts them.
    [
      "+0 write(4, ..., 10) = 10\n+0 > P. 1:6(5) ack 1\n+0 > P. 6:11(5) ack 1",
      /^FAIL x:10: .* got P. 1:11\(10\)/,
    ],
    [
      "+0 setsockopt(4, SOL_TCP, TCP_NODELAY, [1], 4) = 0\n+0 write(4, ..., 5) = 5\n+0 write(4, ..., 5) = 5\n+0 > P. 1:11(10) ack 1",
      /^FAIL x:12: .* got P. 1:6\(5\)/,
    ],
    ["+0 > . 1:1(0) ack 1", /^FAIL x:9: expected . 1:1\(0\) ack 1 got nothing/],
    ["+0 write(4, ..., 10) = 9", /^FAIL x:9: expected write\(4, ..., 10\) = 9 got 10/],
    ["+0 write(5, ..., 10) = 10", /^FAIL x:9: .* got -1 EBADF \(Bad file descriptor\)/],
    ["+0 read(4, ..., 10) = 10", /^FAIL x:9: .* got a call that never returns/],
    ["+0 %{\nassert 1 == 1\nassert tcpi_snd_cwnd == 11\n}%", /^FAIL x:11: Assertion .*tcpi_snd_cwnd = 10/],
    ["+0 read(4) = 0", /^FAIL x:9: Expected a number, found nothing$/],
    [
      '+0 bind(4, {sa_family=AF_INET, sin_port=htons(1), sin_addr=inet_addr("1.2.3")}, 16) = 0',
      /^FAIL x:9: TypeError: Cannot parse IP address "1.2.3"/,
    ],
    ["+0 fly(4) = 0", /^FAIL x:9: System call "fly" is not supported/],
    ["+0 < . 1:1(0", /^FAIL x:9: Expected sequence numbers/],
  ];
  for (const [text, expected] of cases) assert.match(run("x", `${OPEN}${text}\n`), expected);
});

Deno.test("packetdrill takes ranges, any time and absolute times", () => {
  const text = `${OPEN}
+0 write(4, ..., 10) = 10
* > P. 1:11(10) ack 1
+0.1 < . 1:1001(1000) ack 11 win 1000
+0~+0.05 > . 11:11(0) ack 1001
0.5 < . 1001:1002(1) ack 11 win 1000
0.5~0.55 > . 11:11(0) ack 1002
`;
  assert.equal(run("x", text), "PASS x");
});

Deno.test("packetdrill warns of what it passes over", () => {
  const warnings: string[] = [];
  const text = "--speed=1\n--wire_server\n`sysctl -q net.core.nonsense=1; tc qdisc`\n" + OPEN;
  assert.equal(run("x", text, warnings), "PASS x");
  assert.equal(warnings.length, 3, warnings.join("\n"));
});

Deno.test("packetdrill takes options wherever they stand, and words that they define", () => {
  const text = `// A comment first.
--mtu=1500 --tolerance_usecs=5000
--local_ip=10.0.0.1
--remote_ip=1.2.3.0/24
--gateway_ip=10.0.0.1
--netmask_ip=255.255.0.0
--send_omit_free
--code_command=/usr/bin/python3
--define=LENGTH=10
--define="TEXT=reno" // with a comment behind
${OPEN}
+0 write(4, ..., LENGTH) = LENGTH
+0 > P. 1:11(LENGTH) ack 1
+0 setsockopt(4, SOL_TCP, TCP_CONGESTION, "TEXT", 4) = 0
`;
  const warnings: string[] = [];
  assert.equal(run("x", text, warnings), "PASS x");
  assert.deepEqual(warnings, []);
  assert.equal(run("x", `${OPEN}+0 write(4, ..., N) = N\n`, [], [["define", "N=7"]]), "PASS x");
});

Deno.test("packetdrill says which assertion of a code block failed, and where", () => {
  const cases: [string, RegExp][] = [
    [`+0 %{ assert tcpi_snd_cwnd == 9, f"cwnd {tcpi_snd_cwnd:>4d}" }%`, /:9: .*failed: cwnd {3}10$/],
    [`+0 %{\ndef f(x):\n  assert x == 1, "x=%d" % x\nf(1)\nf(2)\n}%`, /:11: .*failed: x=2$/],
    [`+0 %{ assert all(v < 3 for v in [1, 2, 3]) }%`, /:9: Assertion /],
    [`+0 %{ raise ValueError("no") }%`, /:9: ValueError: no$/],
    [`+0 %{ x = {'a': 1}['b'] }%`, /:9: Nothing at b/],
    [`+0 %{ while True: pass }%`, /:9: The loop does not end$/],
    [`+0 %{\ndef f(): return f()\nf()\n}%`, /:10: Functions call each other too deeply$/],
    [`+0 %{ class A: pass }%`, /:9: Expected the end of a statement/],
  ];
  for (const [text, expected] of cases) assert.match(run("x", `${OPEN}${text}\n`), expected);
});
