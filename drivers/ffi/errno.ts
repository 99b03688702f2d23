/**
 * Names and meanings of Linux error numbers (asm-generic/errno-base.h, asm-generic/errno.h).
 *
 * @module
 */

/** Not permitted. */
export const EPERM = 1;
/** No such file. */
export const ENOENT = 2;
/** Interrupted by a signal. */
export const EINTR = 4;
/** Input or output error. */
export const EIO = 5;
/** No such device or address. */
export const ENXIO = 6;
/** Nothing there, or no room: try again (same as EWOULDBLOCK). */
export const EAGAIN = 11;
/** Out of memory. */
export const ENOMEM = 12;
/** Permission denied. */
export const EACCES = 13;
/** Bad address. */
export const EFAULT = 14;
/** Busy. */
export const EBUSY = 16;
/** No such device. */
export const ENODEV = 19;
/** Invalid argument. */
export const EINVAL = 22;
/** Too many open files. */
export const EMFILE = 24;
/** Not a terminal, or a request that the device does not know. */
export const ENOTTY = 25;
/** Message too long. */
export const EMSGSIZE = 90;
/** Descriptor in a bad state: the device behind it is gone. */
export const EBADFD = 77;
/** No room for more in the device's queue. */
export const ENOBUFS = 105;

const NAMES: ReadonlyMap<number, readonly [name: string, meaning: string]> = new Map([
  [EPERM, ["EPERM", "operation not permitted"]],
  [ENOENT, ["ENOENT", "no such file"]],
  [EINTR, ["EINTR", "interrupted"]],
  [EIO, ["EIO", "the device is down"]],
  [ENXIO, ["ENXIO", "no such device or address"]],
  [EAGAIN, ["EAGAIN", "nothing there yet"]],
  [ENOMEM, ["ENOMEM", "out of memory"]],
  [EACCES, ["EACCES", "permission denied"]],
  [EFAULT, ["EFAULT", "bad address"]],
  [EBUSY, ["EBUSY", "in use"]],
  [ENODEV, ["ENODEV", "no such device"]],
  [EINVAL, ["EINVAL", "invalid argument"]],
  [EMFILE, ["EMFILE", "too many open files"]],
  [ENOTTY, ["ENOTTY", "not supported by the device"]],
  [EMSGSIZE, ["EMSGSIZE", "message too long"]],
  [EBADFD, ["EBADFD", "the device was deleted"]],
  [ENOBUFS, ["ENOBUFS", "the queue is full"]],
]);

/** What a person reads: `in use (EBUSY)`, or `error 133` for a number without a name here. */
export function errnoText(errno: number): string {
  const entry = NAMES.get(errno);
  return entry === undefined ? `error ${errno}` : `${entry[1]} (${entry[0]})`;
}
