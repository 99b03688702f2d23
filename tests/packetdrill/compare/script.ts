/**
 * What random scripts are made of.
 *
 * @module
 */

/** Random numbers that a seed decides. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = (seed * 0x9e3779b1 | 0) || 1;
    for (let i = 0; i < 8; i++) this.word();
  }

  word(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return x >>> 0;
  }

  /** 0 to `below` − 1. */
  below(below: number): number {
    return this.word() % below;
  }

  /** From `least` to `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  of<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!;
  }
}

/** Fields of tcp_info that no clock decides. */
const FIELDS = [
  ..."state ca_state snd_cwnd snd_ssthresh unacked sacked lost retrans total_retrans retransmits backoff probes"
    .split(" "),
  ..."delivered dsack_dups reord_seen reordering bytes_acked bytes_sent bytes_retrans bytes_received".split(
    " ",
  ),
  ..."notsent_bytes segs_in data_segs_in data_segs_out rcv_ooopack total_rto snd_mss".split(" "),
];

/** The block that asks for them. */
export const INFO = `%{ print("INFO", ${FIELDS.map((name) => `tcpi_${name}`).join(", ")}) }%`;

/** What a printed line asserts. */
export function assertion(printed: string): string {
  const values = printed.split(" ").slice(1);
  return `%{ assert ${FIELDS.map((name, i) => `tcpi_${name} == ${values[i]}`).join(" and ")} }%`;
}

/** A script that grows. */
export class Script {
  readonly lines: string[] = [];
  /** Time of the line before, in µs. */
  at = 0;

  /** Adds a line that is due at a moment, in µs; not before the one before. */
  add(at: number, text: string): void {
    const after = Math.max(0, at - this.at);
    this.at += after;
    this.lines.push(`${`+${Number((after / 1e6).toFixed(6))}`.padStart(9)} ${text}`);
  }

  get text(): string {
    return this.lines.join("\n") + "\n";
  }
}

/** How the peer of a script opens. */
export interface Opening {
  sysctls: string[];
  /** MSS, round trip in µs and window shift of the peer. */
  mss: number;
  rtt: number;
  shift: number;
  window: number;
  sack: boolean;
  stamps: boolean;
  /** It asks for ECN. */
  ecn: boolean;
}

/** A random opening. */
export function randomOpening(random: Random): Opening {
  const sysctls: string[] = [];
  return {
    sysctls,
    mss: random.chance(80) ? 1000 : random.of([536, 1460, 900]),
    rtt: random.of([20, 50, 100, 100, 200]) * 1000,
    shift: 7,
    window: random.chance(80) ? 512 : random.of([40, 80, 160, 257]),
    sack: random.chance(85),
    stamps: random.chance(25),
    ecn: false,
  };
}

/** Opens a connection by the peer: file 4 is it. */
export function open(o: Opening): Script {
  const script = new Script();
  script.lines.push("`../common/defaults.sh");
  for (const line of o.sysctls) script.lines.push(` sysctl -q ${line}`);
  script.lines[script.lines.length - 1] += "`";
  script.lines.push("0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3");
  script.add(0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0");
  script.add(0, "bind(3, ..., ...) = 0");
  script.add(0, "listen(3, 1) = 0");
  const options = [`mss ${o.mss}`];
  if (o.sack && o.stamps) options.push("sackOK", "TS val 1000 ecr 0");
  else if (o.sack) options.push("sackOK", "nop", "nop");
  else if (o.stamps) options.push("nop", "nop", "TS val 1000 ecr 0");
  options.push("nop", `wscale ${o.shift}`);
  script.add(0, `< ${o.ecn ? "SEW" : "S"} 0:0(0) win 65535 <${options.join(",")}>`);
  script.add(0, `> S${o.ecn ? "E" : ""}. 0:0(0) ack 1 <...>`);
  const echo = o.stamps ? ` <nop,nop,TS val ${1000 + o.rtt / 1000} ecr 100>` : "";
  script.add(o.rtt, `< . 1:1(0) ack 1 win ${o.window}${echo}`);
  script.add(o.rtt, "accept(3, ..., ...) = 4");
  return script;
}
