/**
 * What goes wrong for the caller of the stack (never for the sender of a packet: that is a counted drop).
 *
 * @module
 */

/** Which failure it was. `net/` turns each into the error class that Deno's users know. */
export type StackErrorCode =
  | "AddressInUse"
  | "AddressNotAvailable"
  | "ConnectionRefused"
  | "ConnectionReset"
  | "ConnectionAborted"
  | "NotConnected"
  | "BrokenPipe"
  | "TimedOut"
  | "NetworkUnreachable"
  | "HostUnreachable"
  | "MessageTooLong"
  | "TooMany"
  | "Closed";

/** A failure with a code that a caller can tell apart. */
export class StackError extends Error {
  /** What the class is called, for those who print it. */
  override readonly name = "StackError";
  /** Which failure it was. */
  readonly code: StackErrorCode;

  /**
   * Makes the error.
   * @param code Which failure.
   * @param message What failed, with the values quoted.
   */
  constructor(code: StackErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}
