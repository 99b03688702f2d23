/**
 * The smallest process 1: prints one line and switches the machine off. Its start is the least that a kernel takes.
 *
 * @module
 */

/** The line that it prints. */
export const STATIC_LINE = "static init";

const BASE = 0x40_0000;
const HEADER = 64 + 56;

/** An ELF executable for x86-64, linked to nothing. */
export function staticInit(): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(`${STATIC_LINE}\n`);
  // deno-fmt-ignore
  const code = [
    0xb8, 1, 0, 0, 0,                   // mov eax, 1 (write)
    0xbf, 1, 0, 0, 0,                   // mov edi, 1
    0x48, 0x8d, 0x35, 31, 0, 0, 0,      // lea rsi, [rip + 31]: the text
    0xba, text.length, 0, 0, 0,         // mov edx, its length
    0x0f, 0x05,                         // syscall
    0xb8, 169, 0, 0, 0,                 // mov eax, 169 (reboot)
    0xbf, 0xad, 0xde, 0xe1, 0xfe,       // mov edi, LINUX_REBOOT_MAGIC1
    0xbe, 0x69, 0x19, 0x12, 0x28,       // mov esi, LINUX_REBOOT_MAGIC2
    0xba, 0xdc, 0xfe, 0x21, 0x43,       // mov edx, LINUX_REBOOT_CMD_POWER_OFF
    0x0f, 0x05,                         // syscall
    0xeb, 0xfe,                         // jmp to itself
  ];
  code.splice(13, 1, code.length - 17);
  const length = HEADER + code.length + text.length;
  const bytes = new Uint8Array(length);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, 62, true); // x86-64
  view.setUint32(20, 1, true);
  view.setUint32(24, BASE + HEADER, true); // entry
  view.setUint32(32, 64, true); // program headers
  view.setUint16(52, 64, true);
  view.setUint16(54, 56, true);
  view.setUint16(56, 1, true);
  view.setUint32(64, 1, true); // load
  view.setUint32(68, 5, true); // read and execute
  view.setUint32(80, BASE, true);
  view.setUint32(88, BASE, true);
  view.setUint32(96, length, true);
  view.setUint32(104, length, true);
  view.setUint32(112, 0x1000, true);
  bytes.set(code, HEADER);
  bytes.set(text, HEADER + code.length);
  return bytes;
}
