/**
 * `disable_offloads.ts INTERFACE`: makes the kernel complete checksums and cut segments before a frame leaves by an
 * interface, as a card without offloads would need, so that a capture on the other end shows what a wire would carry.
 *
 * @module
 */

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const IFNAMSIZ = 16;

/** ETHTOOL_SSG needs checksums, so segmentation is turned off first: TSO, GSO, scatter-gather, TX checksums. */
const COMMANDS = [0x1f, 0x24, 0x19, 0x17];

const libc = Deno.dlopen("libc.so.6", {
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  ioctl: { parameters: ["i32", "u32", "buffer"], result: "i32" },
});

const [name = ""] = Deno.args;
const encoded = new TextEncoder().encode(name);
if (encoded.length === 0 || encoded.length >= IFNAMSIZ) {
  throw new TypeError(`No interface has the name "${name}"`);
}

const fd = libc.symbols.socket(AF_INET, SOCK_DGRAM, 0);
const value = new Uint32Array(2);
const request = new Uint8Array(40);
request.set(encoded);
const address = BigInt(Deno.UnsafePointer.value(Deno.UnsafePointer.of(value)));
new DataView(request.buffer).setBigUint64(IFNAMSIZ, address, true);
for (const command of COMMANDS) {
  value[0] = command;
  value[1] = 0;
  if (libc.symbols.ioctl(fd, SIOCETHTOOL, request) !== 0) {
    throw new Error(`Cannot turn off offload 0x${command.toString(16)} of "${name}"`);
  }
}
