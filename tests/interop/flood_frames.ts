/**
 * Floods that would fill a table, a queue or a memory without limits: of routers, neighbours, fragments, headers. No two frames
 * of one flood are alike where that matters.
 *
 * @module
 */

import { IpAddress } from "../../stack/ip/address.ts";
import { arpFrame, ipv4Frame } from "../../stack/testing/frames.ts";
import { bytesOf, icmpv6Frame, ipv6Frame, linkOption } from "../../stack/testing/frames_v6.ts";
import { word } from "../../stack/testing/advertisement.ts";

/** Who is flooded. */
export interface Victim {
  /** Link address, 6 bytes. */
  mac: number[];
  v4: string;
  v6: string;
}

/** A flood and its name. */
export interface Flood {
  name: string;
  frames(victim: Victim): Generator<Uint8Array>;
}

const FRAGMENT = 44, HOP_BY_HOP = 0, OPTIONS = 60, UDP = 17;
const NOTHING = (next: number) => [next, 0, 1, 4, 0, 0, 0, 0];
const group = (i: number) => `${(i >> 8).toString(16)}:${(i & 255).toString(16)}`;

/** An IPv6 fragment: `offset` in units of 8 bytes. */
function piece(victim: Victim, id: number, offset: number, more: boolean, payload: number[]): Uint8Array {
  const bytes = [UDP, 0, offset >> 5 & 255, (offset << 3 & 0xf8) | (more ? 1 : 0), ...word(id)];
  return ipv6Frame(UDP, payload, {
    source: "fd00:83::99",
    destination: victim.v6,
    to: victim.mac,
    extensions: { first: FRAGMENT, bytes },
  });
}

/** An IPv4 fragment: `offset` in units of 8 bytes. */
function piece4(victim: Victim, id: number, offset: number, more: boolean, payload: number[]): Uint8Array {
  const frame = ipv4Frame(UDP, payload, { source: "10.83.0.99", destination: victim.v4, to: victim.mac });
  const view = new DataView(frame.buffer, frame.byteOffset);
  view.setUint16(18, id);
  view.setUint16(20, (more ? 0x2000 : 0) | offset);
  let sum = 0;
  view.setUint16(24, 0);
  for (let at = 14; at < 34; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(24, ~sum & 0xffff);
  return frame;
}

const EIGHT = new Array<number>(8).fill(7);

/** Each of them, with as many frames as it takes. */
export const FLOODS: readonly Flood[] = [
  {
    name: "100,000 routers with a prefix, a route and a server each",
    *frames() {
      for (let i = 0; i < 100_000; i++) {
        const options = [
          ...[
            3,
            4,
            64,
            0xc0,
            ...word(86400),
            ...word(86400),
            ...word(0),
            ...bytesOf(`2001:db8:${group(i)}::`),
          ],
          ...[24, 2, 48, 8, ...word(600), ...bytesOf(`2001:db8:${group(i)}::`).slice(0, 8)],
          ...[25, 3, 0, 0, ...word(60), ...bytesOf(`2001:db8::${group(i)}`)],
          ...linkOption(1, i & 255),
        ];
        yield icmpv6Frame(134, 0, [64, 0, 7, 8, ...word(0), ...word(0), ...options], {
          source: `fe80::1:${group(i)}`,
          destination: "ff02::1",
          hopLimit: 255,
        });
      }
    },
  },
  {
    name: "20,000 neighbours of a /64 that ask for the host",
    *frames({ v6 }) {
      const solicited = `ff02::1:ff00:${(IpAddress.parse(v6).d & 0xffff).toString(16)}`;
      for (let i = 0; i < 20_000; i++) {
        yield icmpv6Frame(135, 0, [0, 0, 0, 0, ...bytesOf(v6), ...linkOption(1, i & 255)], {
          source: `fd00:83::1:${group(i)}`,
          destination: solicited,
          hopLimit: 255,
        });
      }
    },
  },
  {
    name: "10,000 hosts of a /64 that nobody has, and that want an answer from a closed port",
    *frames({ v6, mac }) {
      for (let i = 0; i < 10_000; i++) {
        yield ipv6Frame(200, EIGHT, { source: `fd00:83::2:${group(i)}`, destination: v6, to: mac });
      }
    },
  },
  {
    name: "20,000 ARP requests from all over the network",
    *frames({ v4 }) {
      for (let i = 0; i < 20_000; i++) yield arpFrame(1, i & 255, `10.83.${i >> 8}.${i & 255}`, 0, v4);
    },
  },
  {
    name: "20,000 ARP replies that nobody asked for",
    *frames({ v4, mac }) {
      for (let i = 0; i < 20_000; i++) yield arpFrame(2, i & 255, `10.83.${i >> 8}.${i & 255}`, 0, v4, mac);
    },
  },
  {
    name: "fragments that never end, of both versions",
    *frames(victim) {
      for (let i = 0; i < 10_000; i++) {
        yield piece(victim, i, i % 100, true, EIGHT);
        yield piece4(victim, i, i % 100, true, EIGHT);
      }
    },
  },
  {
    name: "one packet in tiny fragments with gaps",
    *frames(victim) {
      for (let i = 0; i < 4000; i++) {
        yield piece(victim, 7, 2 * i, true, EIGHT);
        yield piece4(victim, 7, 2 * i, true, EIGHT);
      }
    },
  },
  {
    name: "teardrops and overlaps",
    *frames(victim) {
      for (let i = 0; i < 2000; i++) {
        for (const one of [piece, piece4]) {
          yield one(victim, i, 0, true, [...EIGHT, ...EIGHT, ...EIGHT, ...EIGHT]);
          yield one(victim, i, 2, false, [1, 2, 3, 4]);
          yield one(victim, i, 3, true, [...EIGHT, ...EIGHT]);
        }
      }
    },
  },
  {
    name: "fragments beyond the end of the longest packet",
    *frames(victim) {
      for (let i = 0; i < 2000; i++) {
        yield piece(victim, i, 8191, false, new Array(64).fill(0));
        yield piece4(victim, i, 8191, false, new Array(64).fill(0));
      }
    },
  },
  {
    name: "chains of 100 headers, hop-by-hop headers in the middle, and lies about jumbo payloads",
    *frames({ v6, mac }) {
      const to = { source: "fd00:83::99", destination: v6, to: mac };
      const chain = [...new Array(99).fill(NOTHING(OPTIONS)).flat(), ...NOTHING(UDP)];
      for (let i = 0; i < 1000; i++) {
        yield ipv6Frame(UDP, EIGHT, { ...to, extensions: { first: OPTIONS, bytes: chain } });
        const late = [...NOTHING(HOP_BY_HOP), ...NOTHING(UDP)];
        yield ipv6Frame(UDP, EIGHT, { ...to, extensions: { first: OPTIONS, bytes: late } });
        for (const length of [[0, 1, 0, 0], [0, 0, 0, 9], [255, 255, 255, 255]]) {
          const jumbo = ipv6Frame(UDP, EIGHT, {
            ...to,
            extensions: { first: HOP_BY_HOP, bytes: [UDP, 0, 0xc2, 4, ...length] },
          });
          yield jumbo.slice();
          jumbo.set([0, 0], 18);
          yield jumbo;
        }
      }
    },
  },
];
