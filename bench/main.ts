/**
 * `deno task bench [NAME…] [--json FILE] [--seconds N] [--rounds N]`: prints what the README shows. With `--loss`:
 * goodput over bad links instead (`loss.ts`).
 *
 * Every figure stands beside that of the kernel's stack with Deno's own API, measured in the same run: the contenders
 * take turns, round by round, and the medians are shown. See bench/README.md for how each figure is made.
 *
 * @module
 */

import { parseArgs } from "node:util";
import { type Command, ensureCommands, MissingPackages } from "../scripts/system_packages.ts";
import { describeEnvironment } from "./environment.ts";
import { createGuests } from "./guests.ts";
import { measureLoss } from "./loss.ts";
import { measureMemory, MEMORY_FIGURES } from "./memory.ts";
import { BenchNetwork, type Contender, CONTENDERS } from "./network.ts";
import type { Measured } from "./peer/main.ts";
import { median } from "./statistics.ts";
import { figure, table } from "./table.ts";

/** One figure over a network. */
interface Figure {
  /** Whether the contenders run in virtual machines. */
  guests?: boolean;
  /** Who takes part. */
  contenders: readonly Contender[];
  /** What the load measures. */
  measure(network: BenchNetwork, contender: Contender, seconds: number): Promise<Measured>;
  /** What the table shows: a title, the measured value's name, and what to divide it by for the unit. */
  rows: readonly { title: string; value: string; unit: string; divisor: number }[];
}

const FIGURES: Record<string, Figure> = {
  bulk_receive: {
    contenders: CONTENDERS,
    measure: (network, contender, seconds) => network.load(contender, "send", seconds),
    rows: [{ title: "Bulk, kernel peer to us", value: "bits_per_second", unit: "Gbit/s", divisor: 1e9 }],
  },
  bulk_send: {
    contenders: CONTENDERS,
    measure: (network, contender, seconds) => network.load(contender, "receive", seconds),
    rows: [{ title: "Bulk, us to kernel peer", value: "bits_per_second", unit: "Gbit/s", divisor: 1e9 }],
  },
  request_response: {
    contenders: CONTENDERS,
    measure: (network, contender, seconds) => network.load(contender, "rr", seconds),
    rows: [
      { title: "Request/response, 1 byte", value: "requests_per_second", unit: "1/s", divisor: 1 },
      { title: "Request/response, p50", value: "p50_us", unit: "µs", divisor: 1 },
      { title: "Request/response, p99", value: "p99_us", unit: "µs", divisor: 1 },
    ],
  },
  connect: {
    contenders: CONTENDERS,
    measure: (network, contender, seconds) => network.load(contender, "connect", seconds, 16),
    rows: [{ title: "Connections, 16 at a time", value: "connections_per_second", unit: "1/s", divisor: 1 }],
  },
  http_16: {
    contenders: ["connections", "kernel"],
    measure: (network, contender, seconds) => network.http(contender, seconds, 16),
    rows: [
      { title: "HTTP requests, 16 connections", value: "requests_per_second", unit: "1/s", divisor: 1 },
      { title: "HTTP, 16 connections, p99", value: "p99_us", unit: "µs", divisor: 1 },
    ],
  },
  http_64: {
    contenders: ["connections", "kernel"],
    measure: (network, contender, seconds) => network.http(contender, seconds, 64),
    rows: [
      { title: "HTTP requests, 64 connections", value: "requests_per_second", unit: "1/s", divisor: 1 },
      { title: "HTTP, 64 connections, p99", value: "p99_us", unit: "µs", divisor: 1 },
    ],
  },
};

/** Ours in a guest that drives its network card itself, and Deno on the network of a guest's kernel. */
const GUESTS = ["connections", "kernel"] as const;

Object.assign(
  FIGURES,
  {
    guest_http: {
      guests: true,
      contenders: GUESTS,
      measure: (network, contender, seconds) => network.http(contender, seconds, 16),
      rows: [
        {
          title: "In a guest: HTTP requests, 16 connections",
          value: "requests_per_second",
          unit: "1/s",
          divisor: 1,
        },
      ],
    },
    guest_bulk_receive: {
      guests: true,
      contenders: GUESTS,
      measure: (network, contender, seconds) => network.load(contender, "send", seconds),
      rows: [{
        title: "In a guest: bulk, peer to guest",
        value: "bits_per_second",
        unit: "Gbit/s",
        divisor: 1e9,
      }],
    },
    guest_bulk_send: {
      guests: true,
      contenders: GUESTS,
      measure: (network, contender, seconds) => network.load(contender, "receive", seconds),
      rows: [{
        title: "In a guest: bulk, guest to peer",
        value: "bits_per_second",
        unit: "Gbit/s",
        divisor: 1e9,
      }],
    },
    guest_request_response: {
      guests: true,
      contenders: GUESTS,
      measure: (network, contender, seconds) => network.load(contender, "rr", seconds),
      rows: [{ title: "In a guest: request/response, p50", value: "p50_us", unit: "µs", divisor: 1 }],
    },
  } satisfies Record<string, Figure>,
);

const COMMANDS: Command[] = ["ip", "wrk"];

/** What `--json` writes. */
interface Report {
  environment: Record<string, string>;
  seconds: number;
  rounds: number;
  /** Every value of every round, by figure and contender. */
  figures: Record<string, Partial<Record<Contender, Measured[]>>>;
  memory: Record<string, number>;
}

function printNetwork(report: Report): void {
  const rows: string[][] = [];
  for (const [name, runs] of Object.entries(report.figures)) {
    for (const { title, value, unit, divisor } of FIGURES[name]?.rows ?? []) {
      const medians = CONTENDERS.map((contender) =>
        median((runs[contender] ?? []).map((measured) => (measured[value] ?? NaN) / divisor))
      );
      rows.push([title, unit, ...medians.map(figure)]);
    }
  }
  const header = ["Over a network", "unit", "ethox, callbacks", "ethox, connections", "Deno on the kernel"];
  console.log(`\n${table(header, rows)}`);
}

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      json: { type: "string" },
      seconds: { type: "string", default: "3" },
      rounds: { type: "string", default: "3" },
      loss: { type: "boolean", default: false },
    },
  });
  const seconds = Number(values.seconds);
  const rounds = Number(values.rounds);
  if (!(seconds > 0 && seconds <= 60) || !(Number.isInteger(rounds) && rounds >= 1 && rounds <= 20)) {
    throw new TypeError(
      `Cannot bench ${values.rounds} rounds of ${values.seconds} s; give 1 to 20 rounds of at most 60 s`,
    );
  }
  const names = [...Object.keys(FIGURES), ...Object.keys(MEMORY_FIGURES)];
  const unknown = positionals.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new TypeError(`No figure is called "${unknown}"; there are: ${names.join(", ")}`);
  }
  const selected = (name: string) => positionals.length === 0 || positionals.includes(name);

  await ensureCommands(COMMANDS);
  if (values.loss) {
    const measured = await measureLoss(seconds, rounds);
    if (values.json !== undefined) await Deno.writeTextFile(values.json, JSON.stringify(measured, null, 2));
    return 0;
  }
  const chosen = Object.entries(FIGURES).filter(([name]) => selected(name));
  await using network = await BenchNetwork.create();
  await using guests = chosen.some(([, { guests }]) => guests) ? await createGuests() : null;
  const report: Report = {
    environment: await describeEnvironment(network.peer),
    seconds,
    rounds,
    figures: {},
    memory: {},
  };
  for (const [name, value] of Object.entries(report.environment)) console.log(`${name}: ${value}`);
  console.log(`${rounds} rounds of ${seconds} s, the contenders in turn; medians\n`);

  for (const [name, { measure, contenders, guests: inGuests }] of chosen) {
    const runs: Partial<Record<Contender, Measured[]>> = report.figures[name] = {};
    for (let round = 0; round < rounds; round++) {
      for (const contender of round % 2 === 0 ? contenders : contenders.toReversed()) {
        const measured = await measure(inGuests ? guests! : network, contender, seconds);
        (runs[contender] ??= []).push(measured);
        const shown = Object.entries(measured).map(([key, value]) => `${key} ${figure(value)}`).join(", ");
        console.log(`${name} ${contender}: ${shown}`);
      }
    }
  }
  for (const name of Object.keys(MEMORY_FIGURES)) {
    if (selected(name)) Object.assign(report.memory, await measureMemory(name));
  }
  if (Object.keys(report.figures).length > 0) printNetwork(report);
  if (Object.keys(report.memory).length > 0) {
    const rows = Object.entries(report.memory).map(([name, value]) => [name, figure(value)]);
    console.log(`\n${table(["Memory", "value"], rows)}`);
  }
  if (values.json !== undefined) {
    await Deno.writeTextFile(values.json, JSON.stringify(report, null, 2) + "\n");
  }
  return 0;
}

if (import.meta.main) {
  try {
    Deno.exitCode = await main();
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof MissingPackages)) throw error;
    console.error(error.message);
    Deno.exitCode = 1;
  }
}
