/**
 * The kernel's side of TCP Fast Open over IPv4. Prints one line of JSON for each connection.
 *
 * `fast_open.ts connect ADDRESS PORT TEXT` opens a connection with MSG_FASTOPEN and reads the answer to its end.
 * `fast_open.ts serve ADDRESS PORT` takes Fast Open, and answers each connection with what came first.
 *
 * @module
 */

const AF_INET = 2, SOCK_STREAM = 1, IPPROTO_TCP = 6;
const MSG_FASTOPEN = 0x20000000;
const TCP_INFO = 11, TCP_FASTOPEN = 23;
/** Offset of tcpi_options in struct tcp_info, and its bit that says that the SYN's data was taken. */
const OPTIONS_AT = 5, SYN_DATA = 32;

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
  read: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  sendto: { parameters: ["i32", "buffer", "u32", "i32", "buffer", "u32"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "buffer", "buffer"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "buffer", "u32"], result: "i32" },
}).symbols;

/** @throws {Error} A call failed. */
function check(result: number, call: string): number {
  if (result < 0) throw new Error(`${call} failed`);
  return result;
}

function socketAddress(address: string, port: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port);
  bytes.set(address.split(".").map(Number), 4);
  return bytes;
}

/** Whether the data of the SYN was taken. */
function synData(fd: number): boolean {
  const info = new Uint8Array(104);
  const length = new Uint8Array(Uint32Array.of(info.length).buffer);
  check(libc.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, length), "getsockopt");
  return (info[OPTIONS_AT]! & SYN_DATA) !== 0;
}

function read(fd: number): string {
  const bytes = new Uint8Array(4096);
  const length = libc.read(fd, bytes, bytes.length);
  return length <= 0 ? "" : new TextDecoder().decode(bytes.subarray(0, length));
}

const [mode = "", address = "", port = "", text = ""] = Deno.args;
const fd = check(libc.socket(AF_INET, SOCK_STREAM, 0), "socket");
const at = socketAddress(address, Number(port));
if (mode === "connect") {
  const data = new TextEncoder().encode(text);
  check(libc.sendto(fd, data, data.length, MSG_FASTOPEN, at, at.length), "sendto");
  let answer = "";
  for (let part = read(fd); part !== ""; part = read(fd)) answer += part;
  console.log(JSON.stringify({ answer, synData: synData(fd) }));
  libc.close(fd);
} else {
  check(libc.bind(fd, at, at.length), "bind");
  check(libc.setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, new Uint8Array([16, 0, 0, 0]), 4), "setsockopt");
  check(libc.listen(fd, 16), "listen");
  console.log("listening");
  for (;;) {
    const peer = check(libc.accept(fd, null, null), "accept");
    const request = read(peer);
    const answer = new TextEncoder().encode(`kernel got ${request}`);
    libc.write(peer, answer, answer.length);
    console.log(JSON.stringify({ request, synData: synData(peer) }));
    libc.close(peer);
  }
}
