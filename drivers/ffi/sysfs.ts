/**
 * Settings of the kernel's interfaces that are found in sysfs alone. Which interfaces a mounted `/sys` shows depends on
 * the network namespace in which it was mounted, so one is made for the moment: of the namespace this thread is in, and
 * mounted nowhere (fsopen(2), fsmount(2)).
 *
 * @module
 */

import { cString } from "./libc.ts";

const SYS_FSOPEN = 430, SYS_FSCONFIG = 431, SYS_FSMOUNT = 432;
const FSOPEN_CLOEXEC = 1, FSMOUNT_CLOEXEC = 1, FSCONFIG_CMD_CREATE = 6;
const O_WRONLY_CLOEXEC = 1 | 0x80000;

/** `syscall` by the numbers and kinds of its arguments. */
const SYMBOLS = {
  fsopen: { name: "syscall", parameters: ["i32", "buffer", "u32"], result: "i32" },
  fsconfig: {
    name: "syscall",
    parameters: ["i32", "i32", "u32", "pointer", "pointer", "i32"],
    result: "i32",
  },
  fsmount: { name: "syscall", parameters: ["i32", "i32", "u32", "u32"], result: "i32" },
  openat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * Sets a setting of an interface in this thread's network namespace, as writing to `/sys/class/net/NAME/SETTING` does.
 * @returns False if the kernel refuses: it takes CAP_SYS_ADMIN, and a kernel that knows the setting.
 */
export function setInterface(name: string, setting: string, value: string): boolean {
  const library = Deno.dlopen("libc.so.6", SYMBOLS);
  const { fsopen, fsconfig, fsmount, openat, write, close } = library.symbols;
  const opened: number[] = [];
  const keep = (fd: number): number => {
    if (fd >= 0) opened.push(fd);
    return fd;
  };
  try {
    const context = keep(fsopen(SYS_FSOPEN, cString("sysfs"), FSOPEN_CLOEXEC));
    if (context < 0 || fsconfig(SYS_FSCONFIG, context, FSCONFIG_CMD_CREATE, null, null, 0) < 0) return false;
    const mount = keep(fsmount(SYS_FSMOUNT, context, FSMOUNT_CLOEXEC, 0));
    if (mount < 0) return false;
    const file = keep(openat(mount, cString(`class/net/${name}/${setting}`), O_WRONLY_CLOEXEC));
    const bytes = new TextEncoder().encode(value);
    return file >= 0 && write(file, bytes, bytes.length) === bytes.length;
  } finally {
    for (const fd of opened) close(fd);
    library.close();
  }
}
