import assert from "node:assert/strict";
import { bytesOf, icmpv6Frame, linkOption } from "../../stack/testing/frames_v6.ts";
import { Namespace } from "../harness/namespace.ts";
import { requireTools } from "../harness/tools.ts";
import { randomFile } from "./host.ts";
import { eui64, HOST, Ipv6Host, KERNEL } from "./ipv6_host.ts";

const PING = ["-6", "-q", "-c", "3", "-i", "0.02", "-W", "5"];

Deno.test("A host on a TAP answers ping -6 and curl at all of its addresses", async () => {
  await requireTools("ip", "ping", "curl", "nc");
  await using host = await Ipv6Host.start("--address", `${HOST}/64`);
  const { namespace } = host;
  await host.reach(HOST);
  const local = eui64("fe80:", await host.mac());
  for (const to of [HOST, `${local}%tap0`, "ff02::1%tap0"]) {
    const size = to.startsWith("ff") ? "56" : "1452";
    const { stdout } = await namespace.run("ping", [...PING, "-s", size, to]);
    assert.match(stdout, / 0% packet loss/);
  }
  for (const size of ["1453", "3000", "65487", "65507"]) {
    const { stdout } = await namespace.run("ping", [...PING, "-s", size, HOST]);
    assert.match(stdout, / 0% packet loss/, `${size} bytes, in fragments`);
  }
  for (const size of [0, 1, 20_000_000]) {
    await using file = await randomFile(size);
    await using back = await randomFile(0);
    const args = ["-gsS", "--fail", "--max-time", "30", "--data-binary", `@${file.path}`, "-o", back.path];
    await namespace.run("curl", [...args, `http://[${HOST}]/`]);
    await namespace.run("cmp", [file.path, back.path]);
  }
  const page = await namespace.run("curl", ["-gsS", "--max-time", "10", `http://[${local}%25tap0]/`]);
  assert.match(page.stdout, new RegExp(HOST));
  const refused = await namespace.attempt("nc", ["-6", "-v", "-w", "5", HOST, "9"]);
  assert.match(refused.stderr, /refused/);
  // A port without a listener is told at once, not found out by waiting.
  const datagram = await namespace.attempt("nc", ["-6", "-u", "-v", "-z", "-w", "1", HOST, "9"]);
  assert.notEqual(datagram.code, 0);
});

Deno.test("A host on a TAP answers IPv4 pings of up to 65,507 bytes, in fragments", async () => {
  await requireTools("ip", "ping");
  await using namespace = await Namespace.create();
  await namespace.tap("tap0", { addresses: ["10.86.0.1/24"] });
  await using program = namespace.deno("examples/services.ts", [
    ...["--device", "tap:tap0", "--address", "10.86.0.2/24"],
  ]);
  await program.printed(/listening/i);
  for (const size of ["1473", "3000", "65507"]) {
    const args = ["-q", "-c", "3", "-i", "0.02", "-W", "5", "-s", size, "10.86.0.2"];
    const { stdout } = await namespace.run("ping", args);
    assert.match(stdout, / 0% packet loss/, `${size} bytes`);
  }
});

Deno.test("The kernel gives up an address that a host has, and a host one that the kernel has", async () => {
  await requireTools("ip", "ping");
  // The kernel's side of a TAP may send nothing in the first second of its link: then nobody hears that it objects.
  let refused = "";
  for (let attempt = 0; attempt < 8 && refused === ""; attempt++) {
    // This one listens when it is known that nobody has its addresses.
    await Ipv6Host.run("examples/services.ts", "--address", `${KERNEL}/64`).then(
      (host) => host[Symbol.asyncDispose](),
      (error: Error) => refused = error.message,
    );
  }
  assert.match(refused, /Address fd00:80::1 belongs to another host of the link/);
  await using host = await Ipv6Host.start("--address", `${HOST}/64`);
  const { namespace } = host;
  await host.reach(HOST);
  await namespace.ip("address", "add", `${HOST}/64`, "dev", "tap0");
  let flags = "";
  for (let attempt = 0; attempt < 300 && !flags.includes("dadfailed"); attempt++) {
    flags = await namespace.ip("-6", "address", "show", "dev", "tap0");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.match(flags, /fd00:80::2\/64 .*dadfailed/);
});

Deno.test("A host makes itself an address of the prefix that a router advertises", async () => {
  await requireTools("ip", "ping");
  await using host = await Ipv6Host.start("--address", `${HOST}/64`);
  const { namespace } = host;
  await host.reach(HOST);
  await namespace.ip("address", "add", "2001:db8:1::1/64", "dev", "tap0", "nodad");
  const prefix = [3, 4, 64, 0xc0, 0, 0, 14, 16, 0, 0, 14, 16, 0, 0, 0, 0, ...bytesOf("2001:db8:1::")];
  const frame = icmpv6Frame(134, 0, [64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0, ...prefix, ...linkOption(1, 9)], {
    source: "fe80::9",
    from: 9,
    destination: "ff02::1",
    hopLimit: 255,
  });
  await namespace.deno("tests/harness/programs/inject.ts", ["tap0"], { input: `${frame.toHex()}\n` }).ended;
  const made = eui64("2001:db8:1:", await host.mac());
  await host.reach(made);
  const { stdout } = await namespace.run("ping", [...PING, "-I", "2001:db8:1::1", made]);
  assert.match(stdout, / 0% packet loss/);
});
