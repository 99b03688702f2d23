/**
 * What goes wrong for the user of the image tools.
 *
 * @module
 */

/** A failure that the user can mend; its message is one line that says how. */
export class ImageError extends Error {
  override readonly name = "ImageError";
}
