/**
 * Words that stand for others in a script: those of `--define`, and those that harnesses of such scripts define for each
 * version of IP.
 *
 * @module
 */

import { IpAddress } from "../../../stack/ip/address.ts";
import { ServerCookies } from "../../../stack/tcp/fast_open_cookies.ts";
import { DEFAULT_ADDRESSES, type RunOptions } from "./options.ts";
import { DEFAULT_KEY, keysOf } from "./fast_open.ts";

/** Adds one `NAME=value`. */
export function addDefine(define: Map<string, string>, text: string): void {
  const at = text.indexOf("=");
  if (at < 0) define.set(text, "1");
  else define.set(text.slice(0, at), text.slice(at + 1));
}

/** What is defined where nothing else is said. */
export function usualDefines(
  options: Pick<RunOptions, "ipVersion" | "localIp" | "remoteIp">,
): [name: string, value: string][] {
  const v4 = options.ipVersion === "ipv4";
  const addresses = DEFAULT_ADDRESSES[options.ipVersion === "ipv6" ? 6 : 4];
  const cookies = new ServerCookies(() => 0);
  const cookie = (key: Uint8Array) => {
    cookies.setKeys(key);
    const made = cookies.make(
      IpAddress.parse(options.remoteIp ?? addresses.remote),
      IpAddress.parse(options.localIp ?? addresses.local),
    );
    return Array.from(made, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  return [
    ["TFO_COOKIE", cookie(keysOf(DEFAULT_KEY)[0]!)],
    ["TFO_COOKIE_ZERO", cookie(new Uint8Array(16))],
    ["CMSG_LEVEL_IP", v4 ? "SOL_IP" : "SOL_IPV6"],
    ["CMSG_TYPE_RECVERR", v4 ? "IP_RECVERR" : "IPV6_RECVERR"],
  ];
}
