/**
 * struct tcp_md5sig, which TCP_MD5SIG and TCP_MD5SIG_EXT take: a peer, and the key that segments to and from it are signed with.
 *
 * @module
 */

import type { IpAddress } from "../../../stack/ip/address.ts";
import { MAX_KEY, type SignatureKeys } from "../../../stack/tcp/signatures.ts";
import type { Expression } from "./ast.ts";
import { CONSTANTS as K } from "./constants.ts";
import { type Host, SysError } from "./file.ts";
import { endpoint, field, optional } from "./values.ts";

/** What a script says of a key. */
export interface SignatureKey {
  /** The peer as a struct sockaddr, or `...`. */
  peer: Expression | undefined;
  address: IpAddress | null;
  family: number | null;
  flags: number;
  prefix: number;
  length: number;
  key: Uint8Array<ArrayBuffer>;
  /** Bytes of the struct. */
  size: number;
}

/** Bytes of struct tcp_md5sig. */
export const SIGNATURE_SIZE = 216;

/** Takes a struct apart. What it says of the key's length may differ from what the key has. */
export function signatureKey(value: Expression, size: number): SignatureKey {
  const peer = field(value, "tcpm_addr", 0);
  const text = field(value, "tcpm_key", 5);
  const key = text?.kind === "string"
    ? Uint8Array.from(text.value, (c) => c.charCodeAt(0))
    : new Uint8Array();
  const { address, family } = endpoint(peer);
  return {
    peer,
    address,
    family,
    flags: optional(field(value, "tcpm_flags", 1), 0),
    prefix: optional(field(value, "tcpm_prefixlen", 2), 0),
    length: optional(field(value, "tcpm_keylen", 3), key.length),
    key,
    size,
  };
}

/**
 * Sets or deletes a key, as Linux does.
 * @param version Of the socket. @param extended TCP_MD5SIG_EXT, which looks at flags. @throws {SysError}
 */
export function setSignatureKey(
  keys: SignatureKeys,
  { address, family, flags, prefix, length, key, size }: SignatureKey,
  version: 4 | 6,
  extended: boolean,
  host: Host,
): void {
  if (size < SIGNATURE_SIZE) throw new SysError("EINVAL");
  if (family !== null && family !== (version === 4 ? K.AF_INET : K.AF_INET6)) throw new SysError("EINVAL");
  const peer = address ?? host.remoteAddress;
  const width = peer.version === 4 ? 32 : 128;
  const prefixed = extended && (flags & K.TCP_MD5SIG_FLAG_PREFIX!) !== 0;
  if (prefixed && prefix > width) throw new SysError("EINVAL");
  const bits = prefixed ? prefix : width;
  if (length === 0) {
    if (!keys.delete(peer, bits)) throw new SysError("ENOENT");
    return;
  }
  if (length > MAX_KEY) throw new SysError("EINVAL");
  const whole = new Uint8Array(length);
  whole.set(key.subarray(0, length));
  keys.set(peer, whole, bits);
}
