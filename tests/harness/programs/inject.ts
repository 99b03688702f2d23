/**
 * `inject.ts INTERFACE`: sends Ethernet frames exactly as given, one a line of standard input in hexadecimal, and
 * prints `sent N` at the end of the input.
 *
 * @module
 */

import { TextLineStream } from "../lines.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
const IFNAMSIZ = 16;
const SIOCGIFINDEX = 0x8933;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
});

const [name = ""] = Deno.args;
const fd = libc.symbols.socket(AF_PACKET, SOCK_RAW, 0);
const request = new Uint8Array(40);
request.set(new TextEncoder().encode(name.slice(0, IFNAMSIZ - 1)));
if (libc.symbols.ioctl(fd, SIOCGIFINDEX, request) !== 0) {
  throw new Error(`No interface has the name "${name}"`);
}

const target = new Uint8Array(20);
const view = new DataView(target.buffer);
view.setUint16(0, AF_PACKET, true);
view.setInt32(4, new DataView(request.buffer).getInt32(IFNAMSIZ, true), true);

let sent = 0;
for await (
  const line of Deno.stdin.readable.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
) {
  if (line === "") continue;
  const frame = Uint8Array.fromHex(line);
  if (libc.symbols.sendto(fd, frame, frame.length, 0, target, target.length) !== frame.length) {
    throw new Error(`Cannot send a frame of ${frame.length} bytes by "${name}"`);
  }
  sent++;
}
console.log(`sent ${sent}`);
