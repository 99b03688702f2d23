/**
 * What every example shares: its options, its errors in one line, and its end.
 *
 * @module
 */

import { parseArgs, type ParseArgsConfig } from "node:util";
import { DEVICE_SYNTAX, openDevice, type OpenDeviceOptions } from "../drivers/open.ts";
import { Network, type NetworkOptions } from "../net/mod.ts";
import { Cidr, IpAddress } from "../stack/ip/address.ts";
import { AddressState } from "../stack/ip/own_address.ts";

/** Exit status of bad usage. */
const USAGE = 2;

/** Wrong arguments: one line for the person who wrote them, and status 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** An option of one example. */
export interface OptionSpec {
  /** `boolean` for a flag. */
  type: "string" | "boolean";
  /** What it is given, in the help text. */
  value?: string;
  /** One line of help. */
  help: string;
}

/** What the help text says, and what is understood. */
export interface Program {
  /** The example's name. */
  name: string;
  /** One line. */
  summary: string;
  /** Positional arguments as the help text shows them. Default: none are taken. */
  positionals?: string;
  /** Options beside the common ones. */
  options?: Record<string, OptionSpec>;
  /** Whether it begins before the network is configured, rather than after. Default false. */
  early?: boolean;
}

/** What an example gets. */
export interface Run {
  /** The host, up. */
  network: Network;
  /** Values of the example's own options. */
  values: Record<string, string | boolean | undefined>;
  /** Positional arguments. */
  positionals: string[];
  /** Aborted by SIGINT and SIGTERM. */
  signal: AbortSignal;
  /** Resolves when the host has the addresses that it is going to have. With {@link Program.early} only it takes time. */
  settled: Promise<void>;
}

/** µs that addresses of the network are waited for. */
const PATIENCE = 20_000_000;

const COMMON: Record<string, OptionSpec> = {
  device: { type: "string", value: DEVICE_SYNTAX.replaceAll(" ", ""), help: "the network device" },
  offloads: {
    type: "string",
    value: "all|none",
    help: "none: whole frames with complete checksums, as on a wire",
  },
  delivery: {
    type: "string",
    value: "direct|threaded",
    help: "threaded: the kernel joins what a TAP or TUN device sends; direct, the default here, does not",
  },
  address: { type: "string", value: "CIDR", help: "an address, as 10.0.0.2/24; may be repeated" },
  gateway: { type: "string", value: "IP", help: "the router to other networks" },
  dns: { type: "string", value: "IP", help: "a name server, as 10.0.0.1 or [fd00::1]:53; may be repeated" },
  probe: {
    type: "string",
    value: "quick|full|off",
    help: "how it is made sure that a DHCP address is free; off where the link has nobody else",
  },
  hostname: { type: "string", value: "NAME", help: "what the link calls us: NAME.local" },
  help: { type: "boolean", help: "prints this" },
};

/**
 * Runs an example: parses its arguments, opens the network, and ends the process when `body` is done.
 *
 * @param program What it understands.
 * @param body The example. What it returns is the exit status; nothing stands for 0.
 */
export async function main(program: Program, body: (run: Run) => Promise<number | void>): Promise<void> {
  let status: number;
  try {
    status = await start(program, body);
  } catch (error) {
    const told = error instanceof UsageError || isEnvironmental(error);
    if (told) console.error(`${program.name}: ${(error as Error).message}`);
    else console.error(error);
    status = error instanceof UsageError ? USAGE : 1;
  }
  Deno.exit(status);
}

/** A whole number from `least` to `most` of an option, or its default. */
export function numberOption(run: Run, name: string, least: number, most: number, otherwise: number): number {
  const text = run.values[name];
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (!Number.isInteger(value) || value < least || value > most) {
    throw new UsageError(`Option --${name} is "${text}": give a whole number from ${least} to ${most}`);
  }
  return value;
}

async function start(program: Program, body: (run: Run) => Promise<number | void>): Promise<number> {
  const { values, positionals } = parse(program);
  if (values["help"]) {
    console.log(help(program));
    return 0;
  }
  const device = values["device"] as string | undefined;
  if (device === undefined) {
    throw new UsageError(
      `No device is given: add --device ${DEVICE_SYNTAX.split(" ")[0]} (--help tells more)`,
    );
  }
  const addresses = (values["address"] ?? []) as string[];
  const gateway = values["gateway"] as string | undefined;
  check(addresses, gateway);
  const onError = (error: unknown, where: string) => {
    if (!network.interface.device.closed) return console.error(`${program.name}: Error in ${where}:`, error);
    console.error(`${program.name}: ${(error as Error).message}`);
    Deno.exit(1);
  };
  const offloads = values["offloads"] as string | undefined;
  if (offloads !== undefined && offloads !== "all" && offloads !== "none") {
    throw new UsageError(`Option --offloads is "${offloads}": give all or none`);
  }
  // Whoever wants to see frames as on a wire does not want them joined.
  const delivery = values["delivery"] as string | undefined ?? "direct";
  if (delivery !== "direct" && delivery !== "threaded") {
    throw new UsageError(`Option --delivery is "${delivery}": give direct or threaded`);
  }
  const probe = values["probe"] as string | undefined;
  if (probe !== undefined && probe !== "quick" && probe !== "full" && probe !== "off") {
    throw new UsageError(`Option --probe is "${probe}": give quick, full or off`);
  }
  const servers = values["dns"] as string[] | undefined;
  const hostname = values["hostname"] as string | undefined;
  const options: NetworkOptions & { device: string } = {
    device,
    addresses,
    onError,
    ...gateway !== undefined && { gateway },
    ...probe !== undefined && addresses.length === 0 && { configure: { dhcp: { probe } } },
    ...program.early && { patience: 0 },
    ...servers !== undefined && { dns: { servers } },
    ...hostname !== undefined && { hostname },
  };
  await using network = await open(options, { offloads: offloads ?? "all", delivery });
  const controller = new AbortController();
  let status: number | null = null;
  const interrupted = (code: number) => {
    if (status !== null) Deno.exit(code);
    status = code;
    controller.abort();
  };
  Deno.addSignalListener("SIGINT", () => interrupted(130));
  Deno.addSignalListener("SIGTERM", () => interrupted(143));
  const run: Run = {
    network,
    values: values as Run["values"],
    positionals,
    signal: controller.signal,
    settled: network.configuration.settled(PATIENCE).then(() => settled(network)),
  };
  if (program.early) run.settled.catch(() => {});
  else await run.settled;
  const result = controller.signal.aborted ? undefined : await body(run);
  return result ?? status ?? 0;
}

async function open(
  options: NetworkOptions & { device: string },
  how: OpenDeviceOptions,
): Promise<Network> {
  try {
    return await Network.open({ ...options, device: await openDevice(options.device, how) });
  } catch (error) {
    if (error instanceof TypeError || error instanceof RangeError) throw new UsageError(error.message);
    throw new Failure(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** Waits a second or two until it is known that no neighbour has our IPv6 addresses: before that they are of no use (RFC 4862). */
async function settled(network: Network): Promise<void> {
  const { ipv6 } = network.stack;
  for (const { address } of network.interface.addresses) {
    if (address.version === 4) continue;
    const tentative = () => ipv6.own(address)?.state === AddressState.Tentative;
    for (let i = 0; i < 300 && tentative(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    if (ipv6.own(address)?.state === AddressState.Duplicate) {
      throw new Failure(`Address ${address} belongs to another host of the link: give another one`);
    }
  }
}

/** Something outside of the program is not as it should be. */
class Failure extends Error {}

function isEnvironmental(error: unknown): boolean {
  if (error instanceof Failure) return true;
  return Object.values(Deno.errors).some((type) => error instanceof type);
}

function parse(program: Program): { values: Record<string, unknown>; positionals: string[] } {
  const options: NonNullable<ParseArgsConfig["options"]> = {};
  for (const [name, { type }] of Object.entries({ ...COMMON, ...program.options })) {
    options[name] = { type, multiple: name === "address" || name === "dns" };
  }
  try {
    return parseArgs({ args: Deno.args, options, allowPositionals: program.positionals !== undefined });
  } catch (error) {
    // Node's message may go on with advice about its own syntax.
    throw new UsageError(`${(error as Error).message.split(/\. /)[0]} (--help tells what there is)`);
  }
}

function check(addresses: string[], gateway: string | undefined): void {
  for (const text of addresses) {
    try {
      Cidr.parse(text);
    } catch (error) {
      throw new UsageError(`Option --address ${text}: ${(error as Error).message}`);
    }
    if (!text.includes("/")) {
      throw new UsageError(`Option --address ${text} has no prefix length: write ${text}/24`);
    }
  }
  if (gateway !== undefined && IpAddress.tryParse(gateway) === null) {
    throw new UsageError(`Option --gateway is "${gateway}": give an IP address`);
  }
}

function help(program: Program): string {
  const { name, summary, positionals = "" } = program;
  const lines = Object.entries({ ...COMMON, ...program.options }).map(([option, spec]) => {
    const value = spec.value === undefined ? "" : ` ${spec.value}`;
    return `  --${option}${value}`.padEnd(48) + spec.help;
  });
  return `${summary}\n\nUsage: deno task example ${name} [OPTION...] ${positionals}\n\n${lines.join("\n")}`;
}
