/**
 * Addresses and routes of the kernel's own interfaces (rtnetlink(7)), for a guest whose network is the kernel's. Nothing
 * here loads `node:` modules, because process 1 uses it.
 *
 * @module
 */

import type { Cidr, IpAddress } from "../../stack/ip/address.ts";
import { SystemCallError } from "./system.ts";

const AF_NETLINK = 16;
const SOCK_RAW_CLOEXEC = 3 | 0x80000;
const NETLINK_ROUTE = 0;

const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;
const NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_CREATE = 0x400;
const NLMSG_ERROR = 2;

const AF_INET = 2, AF_INET6 = 10;
const IFF_UP = 1;
const IFA_ADDRESS = 1, IFA_LOCAL = 2;
/** No duplicate address detection: the address can be used at once. */
const IFA_F_NODAD = 2;
const RTA_OIF = 4, RTA_GATEWAY = 5;
const RT_TABLE_MAIN = 254, RTPROT_STATIC = 4, RTN_UNICAST = 1;

const HEADER = 16;

function load() {
  return Deno.dlopen("libc.so.6", {
    socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
    send: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    recv: { parameters: ["i32", "buffer", "usize", "i32"], result: "isize" },
    close: { parameters: ["i32"], result: "i32" },
  });
}

/** The bytes of one message, written from the front. */
class Message {
  readonly bytes = new Uint8Array(256);
  readonly view = new DataView(this.bytes.buffer);
  length = HEADER;

  constructor(readonly type: number, body: number) {
    this.length += body;
  }

  attribute(type: number, value: Uint8Array): void {
    this.view.setUint16(this.length, 4 + value.length, true);
    this.view.setUint16(this.length + 2, type, true);
    this.bytes.set(value, this.length + 4);
    this.length += 4 + (value.length + 3 & ~3);
  }

  finish(): Uint8Array<ArrayBuffer> {
    this.view.setUint32(0, this.length, true);
    this.view.setUint16(4, this.type, true);
    this.view.setUint16(6, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, true);
    return this.bytes.subarray(0, this.length);
  }
}

function word(value: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function up(index: number): Message {
  const message = new Message(RTM_NEWLINK, 16);
  message.view.setInt32(HEADER + 4, index, true);
  message.view.setUint32(HEADER + 8, IFF_UP, true);
  message.view.setUint32(HEADER + 12, IFF_UP, true);
  return message;
}

function address(index: number, { address, prefix }: Cidr): Message {
  const message = new Message(RTM_NEWADDR, 8);
  const v4 = address.version === 4;
  message.bytes.set([v4 ? AF_INET : AF_INET6, prefix, v4 ? 0 : IFA_F_NODAD], HEADER);
  message.view.setUint32(HEADER + 4, index, true);
  if (v4) message.attribute(IFA_LOCAL, address.toBytes());
  message.attribute(IFA_ADDRESS, address.toBytes());
  return message;
}

function defaultRoute(index: number, gateway: IpAddress): Message {
  const message = new Message(RTM_NEWROUTE, 12);
  const family = gateway.version === 4 ? AF_INET : AF_INET6;
  message.bytes.set([family, 0, 0, 0, RT_TABLE_MAIN, RTPROT_STATIC, 0, RTN_UNICAST], HEADER);
  message.attribute(RTA_GATEWAY, gateway.toBytes());
  message.attribute(RTA_OIF, word(index));
  return message;
}

/** What an interface is given. */
export interface KernelInterface {
  /** `eth0`. */
  readonly name: string;
  /** Its index, of `/sys/class/net/NAME/ifindex`. */
  readonly index: number;
  /** Addresses with their prefixes. */
  readonly addresses: readonly Cidr[];
  /** Next hop of the default route, or null for none. */
  readonly gateway: IpAddress | null;
}

/**
 * Sets an interface of the kernel up: link, addresses, default route.
 * @throws {SystemCallError} When the kernel refuses; what was done before stays.
 */
export function configureInterface(options: KernelInterface): void {
  const library = load();
  const { socket, send, recv, close } = library.symbols;
  const descriptor = socket(AF_NETLINK, SOCK_RAW_CLOEXEC, NETLINK_ROUTE);
  const answer = new Uint8Array(4096);
  const ask = (message: Message, what: string): void => {
    const bytes = message.finish();
    const sent = Number(send(descriptor, bytes, BigInt(bytes.length), 0));
    const length = sent < 0 ? -1 : Number(recv(descriptor, answer, BigInt(answer.length), 0));
    const view = new DataView(answer.buffer);
    const error = length >= HEADER + 4 && view.getUint16(4, true) === NLMSG_ERROR
      ? -view.getInt32(HEADER, true)
      : -1;
    if (error !== 0) {
      throw new SystemCallError(
        `Cannot ${what} of "${options.name}": the kernel answers errno ${error}`,
        error,
      );
    }
  };
  try {
    ask(up(options.index), "switch on the link");
    for (const cidr of options.addresses) {
      ask(address(options.index, cidr), `set the address ${cidr.address}/${cidr.prefix}`);
    }
    if (options.gateway !== null) {
      ask(defaultRoute(options.index, options.gateway), `set the gateway ${options.gateway}`);
    }
  } finally {
    if (descriptor >= 0) close(descriptor);
    library.close();
  }
}
