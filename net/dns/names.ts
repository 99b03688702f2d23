/**
 * Domain names as text: lower case, without the last dot, `\.` and `\\` for a dot and a backslash within a label
 * (RFC 6763, section 4.3). The root is the empty string.
 *
 * @module
 */

import { domainToUnicode } from "node:url";
import type { IpAddress } from "../../stack/ip/address.ts";

/** Bytes of a label and of a whole name on the wire (RFC 1035, section 2.3.4). */
const LABEL = 63, NAME = 255;

const encoder = new TextEncoder();

/**
 * The form in which the resolver handles a name that a person wrote: international names become ASCII as in URLs.
 *
 * @param name With or without the dot at its end.
 * @throws {TypeError} When it is not a name.
 */
export function canonicalName(name: string): string {
  let text = name.endsWith(".") && !name.endsWith("\\.") ? name.slice(0, -1) : name;
  // deno-lint-ignore no-control-regex -- all of ASCII
  if (!/^[\x00-\x7f]*$/.test(text)) {
    if (/(^|\.)local$/i.test(text)) {
      // Multicast DNS writes UTF-8 (RFC 6762, section 16).
      text = text.normalize("NFC");
    } else {
      const url = URL.parse(`http://${text}/`);
      if (url === null) throw new TypeError(`Cannot use "${name}" as a host name`);
      text = url.hostname;
    }
  } else if (/(^|\.)xn--.*\.local$/i.test(text)) {
    text = domainToUnicode(text) || text;
  }
  const canonical = text.toLowerCase();
  checkName(canonical);
  return canonical;
}

/**
 * Makes sure that a name fits on the wire.
 *
 * @param name In the form of this module.
 * @throws {TypeError} A label is empty or longer than 63 bytes, or the name than 255; or it has control characters.
 */
export function checkName(name: string): void {
  // deno-lint-ignore no-control-regex -- that is what is looked for
  if (/[\x00-\x1f\x7f\u2028\u2029]/.test(name)) {
    throw new TypeError(`Name ${JSON.stringify(name)} has control characters`);
  }
  let total = 1;
  for (const label of labelsOf(name)) {
    const { length } = encoder.encode(label);
    if (length === 0) throw new TypeError(`Name "${name}" has an empty label`);
    if (length > LABEL) throw new TypeError(`Name "${name}" has a label of more than ${LABEL} bytes`);
    total += length + 1;
  }
  if (total > NAME) throw new TypeError(`Name "${name}" is longer than ${NAME} bytes`);
}

/** The labels of a name, unescaped; none for the root. */
export function labelsOf(name: string): string[] {
  if (name === "") return [];
  if (!name.includes("\\")) return name.split(".");
  const labels: string[] = [];
  let label = "";
  for (let i = 0; i < name.length; i++) {
    const character = name[i]!;
    if (character === "\\" && i + 1 < name.length) {
      label += name[++i];
    } else if (character === ".") {
      labels.push(label);
      label = "";
    } else {
      label += character;
    }
  }
  labels.push(label);
  return labels;
}

/** A label as it stands in a name. */
export function escapeLabel(label: string): string {
  return label.replace(/[\\.]/g, "\\$&");
}

/** Whether two names are the same: ASCII letters alone have no case (RFC 4343, RFC 6762, section 16). */
export function sameName(one: string, other: string): boolean {
  return one === other || (one.length === other.length && lowerName(one) === lowerName(other));
}

/** A name with its ASCII letters in lower case, as tables key it. */
export function lowerName(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** Whether `name` is `domain` or lies below it. Both in lower case. */
export function isWithin(name: string, domain: string): boolean {
  return name === domain || (name.endsWith(domain) && name[name.length - domain.length - 1] === ".");
}

/** The name under which an address's own name is found (RFC 1035, section 3.5; RFC 3596, section 2.5). */
export function reverseName(address: IpAddress): string {
  if (address.version === 4) return `${address.toString().split(".").reverse().join(".")}.in-addr.arpa`;
  const digits = Array.from(address.toBytes(), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return `${[...digits].reverse().join(".")}.ip6.arpa`;
}

/**
 * The name with the case of each letter chosen at random: who did not see the question can't repeat it (DNS 0x20).
 *
 * @param name In lower case. @param random Gives 32 random bits.
 */
export function randomCase(name: string, random: () => number): string {
  let bits = 0, left = 0, mixed = "";
  for (const character of name) {
    if (character < "a" || character > "z") {
      mixed += character;
      continue;
    }
    if (left === 0) {
      bits = random();
      left = 32;
    }
    mixed += (bits & 1) === 0 ? character : character.toUpperCase();
    bits >>>= 1;
    left--;
  }
  return mixed;
}

/** Whether a name is looked up on the link, by multicast (RFC 6762, sections 3 and 4). */
export function isLinkName(name: string): boolean {
  return isWithin(name, "local") || isWithin(name, "254.169.in-addr.arpa") ||
    /(^|\.)[89ab]\.e\.f\.ip6\.arpa$/.test(name);
}
