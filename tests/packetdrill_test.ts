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
      /^FAIL x:10: expected .* at 0.300000 s got it at 0.100000 s/,
    ],
    ["+0 > . 1:1(0) ack 1", /^FAIL x:9: expected . 1:1\(0\) ack 1 got nothing/],
    ["+0 write(4, ..., 10) = 9", /^FAIL x:9: expected write\(4, ..., 10\) = 9 got 10/],
    ["+0 write(5, ..., 10) = 10", /^FAIL x:9: .* got -1 EBADF \(Bad file descriptor\)/],
    ["+0 read(4, ..., 10) = 10", /^FAIL x:9: .* got a call that never returns/],
    ["+0 %{\nassert 1 == 1\nassert tcpi_snd_cwnd == 11\n}%", /^FAIL x:11: Assertion .*tcpi_snd_cwnd = 10/],
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
