import assert from "node:assert/strict";
import fc from "fast-check";
import { IpAddress } from "../ip/address.ts";
import { TcpOptions, writeFastOpen } from "../wire/tcp.ts";
import { ClientCookies, CookieVerdict, ServerCookies } from "./fast_open_cookies.ts";

const CLIENT = IpAddress.parse("192.0.2.1");
const SERVER = IpAddress.parse("192.168.0.1");

function counter(): () => number {
  let next = 1;
  return () => Math.imul(next++, 0x9e3779b9);
}

/** The options of a SYN that shows `cookie`. */
function showing(cookie: Uint8Array): TcpOptions {
  const view = new DataView(new ArrayBuffer(40));
  writeFastOpen(view, 0, cookie, false);
  const options = new TcpOptions();
  assert(options.parse(view, 0, 40));
  return options;
}

Deno.test("ServerCookies.make() gives Linux's cookie for Linux's key", () => {
  const cookies = new ServerCookies(counter());
  const key = new Uint8Array(16);
  [0xa1, 0xb2, 0xc3, 0xd4].forEach((byte, i) => key.fill(byte, 4 * i, 4 * i + 4));
  cookies.setKeys(key);
  // As a Linux server answers 192.0.2.1 with net.ipv4.tcp_fastopen_key=a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4.
  assert.equal(cookies.make(CLIENT, SERVER).toHex(), "3021b9d889017eeb");
});

Deno.test("ServerCookies.judge() takes a cookie through one change of the key, and no other", () => {
  const cookies = new ServerCookies(counter());
  const cookie = cookies.make(CLIENT, SERVER);
  assert.equal(cookies.judge(showing(cookie), CLIENT, SERVER), CookieVerdict.Right);
  assert.equal(cookies.judge(showing(cookie), SERVER, CLIENT), CookieVerdict.Wrong);
  cookies.rotate();
  assert.equal(cookies.judge(showing(cookie), CLIENT, SERVER), CookieVerdict.Old);
  cookies.rotate();
  assert.equal(cookies.judge(showing(cookie), CLIENT, SERVER), CookieVerdict.Wrong);
  assert.equal(cookies.judge(showing(cookie.slice(0, 6)), CLIENT, SERVER), CookieVerdict.Wrong);
  assert.throws(() => cookies.rotate(new Uint8Array(15)), RangeError);
});

Deno.test("ServerCookies.judge() takes nothing but the cookie that make() gives", () => {
  const cookies = new ServerCookies(counter());
  const v6 = (a: number, d: number) =>
    IpAddress.parse(`2001:db8::${(a & 0xffff).toString(16)}:${(d & 0xffff).toString(16)}`);
  fc.assert(fc.property(fc.nat(), fc.nat(), fc.nat({ max: 63 }), (a, d, bit) => {
    const remote = v6(a, d), local = v6(d, a + 1);
    const cookie = cookies.make(remote, local);
    assert.equal(cookies.judge(showing(cookie), remote, local), CookieVerdict.Right);
    cookie[bit >> 3]! ^= 1 << (bit & 7);
    assert.equal(cookies.judge(showing(cookie), remote, local), CookieVerdict.Wrong);
  }));
});

Deno.test("ClientCookies forgets the server that was used least lately when there are too many", () => {
  const cookies = new ClientCookies(3);
  const server = (i: number) => IpAddress.v4(0x0a000000 + i);
  for (let i = 0; i < 3; i++) cookies.take(SERVER, server(i)).mss = 1000 + i;
  assert.equal(cookies.get(SERVER, server(0))!.mss, 1000);
  cookies.take(SERVER, server(3));
  assert.equal(cookies.size, 3);
  assert.equal(cookies.get(SERVER, server(1)), null);
  assert.equal(cookies.get(SERVER, server(0))!.mss, 1000);
  assert.equal(cookies.get(CLIENT, server(0)), null);
});

Deno.test("TcpOptions.parse() takes Fast Open in both forms, and no length that can't be", () => {
  const options = new TcpOptions();
  for (const experimental of [false, true]) {
    for (let length = 0; length <= 16; length += 2) {
      const view = new DataView(new ArrayBuffer(40));
      const cookie = Uint8Array.from({ length }, (_, i) => 100 + i);
      writeFastOpen(view, 0, cookie, experimental);
      assert(options.parse(view, 0, 24));
      assert.equal(options.fastOpen, length === 2 ? -1 : length);
      if (length === 2) continue;
      assert.equal(options.fastOpenExperimental, experimental);
      assert.deepEqual(options.cookie.slice(0, length), cookie);
    }
  }
  for (const length of [3, 5, 7, 19, 20]) {
    const view = new DataView(new ArrayBuffer(40));
    view.setUint16(0, 34 << 8 | length);
    assert(options.parse(view, 0, 40));
    assert.equal(options.fastOpen, -1, `${length}`);
  }
});
