/**
 * What the thread of system calls shares with the script's.
 *
 * @module
 */

/** Words: what is going on, the call's number, why it failed. */
export const STATE = 0, NUMBER = 1, ERRNO = 2;
/** Longs: what it returned, and its arguments. */
export const RESULT = 0, ARGUMENTS = 1;
/** {@link STATE}. */
export const IDLE = 0, BUSY = 1, DONE = 2;

/** The first message to the thread. */
export interface WorkerMemory {
  words: SharedArrayBuffer;
  longs: SharedArrayBuffer;
  eventfd: number;
}
