/**
 * What goes wrong for the user of the image tools.
 *
 * @module
 */

/** A failure that the user can mend; its message is one line that says how. */
export class ImageError extends Error {
  /** What the class is called, for those who print it. */
  override readonly name = "ImageError";
}
