import assert from "node:assert/strict";
import { DEFAULT_CONFIG } from "./config.ts";
import { ImageError } from "./errors.ts";
import { type GuestOptions, parseForward, parseNetwork, qemuArguments, shellLine } from "./qemu.ts";

const OPTIONS: GuestOptions = {
  kernel: "out/vmlinuz",
  initramfs: "out/initramfs.img",
  commandLine: "quiet -- run /app/main.js",
  memory: 512,
  processors: 2,
  accelerator: "tcg",
  network: { kind: "user", forwards: [{ protocol: "tcp", host: 8080, guest: 80 }] },
  config: DEFAULT_CONFIG,
  handOver: false,
  capture: "",
  extra: [],
};

/** The values that follow each `name`. */
function values(args: string[], name: string): string[] {
  return args.filter((_, i) => args[i - 1] === name);
}

Deno.test("parseForward() takes protocol, host and guest port", () => {
  assert.deepEqual(parseForward("tcp:8080:80"), { protocol: "tcp", host: 8080, guest: 80 });
  assert.deepEqual(parseForward("udp:1:65535"), { protocol: "udp", host: 1, guest: 65535 });
  for (const text of ["", "8080:80", "tcp:0:80", "tcp:80:65536", "sctp:1:2", "tcp:1:2:3", "tcp:a:b"]) {
    assert.throws(() => parseForward(text), ImageError, text);
  }
});

Deno.test("parseNetwork() takes user, none, tap and socket", () => {
  assert.deepEqual(parseNetwork("user", []), { kind: "user", forwards: [] });
  assert.deepEqual(parseNetwork("none", []), { kind: "none" });
  assert.deepEqual(parseNetwork("tap:tap0", []), { kind: "tap", name: "tap0" });
  assert.deepEqual(parseNetwork("socket:/run/a:b", []), { kind: "socket", path: "/run/a:b" });
  for (const text of ["", "tap", "tap:", "tap:a/b", "tap:longer-than-15-bytes", "socket:", "bridge:br0"]) {
    assert.throws(() => parseNetwork(text, []), ImageError, text);
  }
  assert.throws(() => parseNetwork("tap:tap0", [parseForward("tcp:1:2")]), /on the user network only/);
});

Deno.test("qemuArguments() forwards ports to the guest's own address", () => {
  assert.deepEqual(values(qemuArguments(OPTIONS), "-netdev"), [
    "user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80",
  ]);
  const config = { ...DEFAULT_CONFIG, addresses: ["fd00::1/64", "192.168.7.9/24"], gateway: "192.168.7.1" };
  assert.deepEqual(values(qemuArguments({ ...OPTIONS, config }), "-netdev"), [
    "user,id=net0,net=192.168.7.0/24,host=192.168.7.1,hostfwd=tcp:127.0.0.1:8080-192.168.7.9:80",
  ]);
});

Deno.test("qemuArguments() connects the device as it is told", () => {
  const netdev = (network: GuestOptions["network"]) =>
    values(qemuArguments({ ...OPTIONS, network }), "-netdev");
  assert.deepEqual(netdev({ kind: "tap", name: "tap0" }), [
    "tap,id=net0,ifname=tap0,script=no,downscript=no",
  ]);
  assert.deepEqual(netdev({ kind: "socket", path: "/tmp/a,b" }), [
    "stream,id=net0,server=off,addr.type=unix,addr.path=/tmp/a,,b",
  ]);
  assert.deepEqual(netdev({ kind: "none" }), []);
  const args = qemuArguments({
    ...OPTIONS,
    config: { ...DEFAULT_CONFIG, mac: "52:54:00:00:00:09" },
    capture: "a.pcap",
  });
  assert.deepEqual(values(args, "-device"), [
    "virtio-net-pci,netdev=net0,disable-legacy=on,romfile=,mac=52:54:00:00:00:09",
  ]);
  assert.deepEqual(values(args, "-object"), ["filter-dump,id=dump0,netdev=net0,file=a.pcap"]);
});

Deno.test("qemuArguments() hands a configuration over only when it is not the image's own", () => {
  assert.deepEqual(values(qemuArguments(OPTIONS), "-fw_cfg"), []);
  const [handed] = values(qemuArguments({ ...OPTIONS, handOver: true }), "-fw_cfg");
  const text = handed!.slice("name=opt/ethox/config,string=".length).replaceAll(",,", ",");
  assert.deepEqual(JSON.parse(text), DEFAULT_CONFIG);
});

Deno.test("qemuArguments() takes the processor that the accelerator has", () => {
  assert.deepEqual(values(qemuArguments({ ...OPTIONS, accelerator: "kvm" }), "-cpu"), ["host"]);
  assert.match(values(qemuArguments(OPTIONS), "-cpu")[0]!, /^Nehalem/);
});

Deno.test("shellLine() quotes what a shell would change", () => {
  assert.equal(shellLine(["a", "b=c,d", "x y", "it's", ""]), `a b=c,d 'x y' 'it'\\''s' ''`);
});

Deno.test("qemuArguments() gives emulated processors one thread, and leaves KVM's alone", () => {
  assert.deepEqual(values(qemuArguments(OPTIONS), "-accel"), ["tcg,thread=single"]);
  assert.deepEqual(values(qemuArguments({ ...OPTIONS, accelerator: "kvm" }), "-accel"), ["kvm"]);
});
