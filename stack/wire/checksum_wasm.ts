/**
 * Made of `checksum.wat` by `deno task wasm`; not to be edited.
 *
 * @module
 */

/** The module's bytes, in base64. */
export const CHECKSUM_WASM =
  "AGFzbQEAAAABBwFgAn9/AX8CEQEFYXJlbmEGbWVtb3J5AgAAAwIBAAcHAQNzdW0AAAp8AXoBBHsDQCACIAD9AAAA/X/9rgEhAiADIAD9AAAQ/X/9rgEhAyAEIAD9AAAg/X/9rgEhBCAFIAD9AAAw/X/9rgEhBSAAQcAAaiIAIAFJDQALIAIgA/2uASAEIAX9rgH9rgEhAiAC/RsAIAL9GwFqIAL9GwIgAv0bA2pqCw==";
