/**
 * What holds for every connection after every turn, and for a stack when all is over.
 *
 * @module
 */

import { heldBeyond } from "../../stack/tcp/receive.ts";
import { State } from "../../stack/tcp/api.ts";
import type { TcpConnection } from "../../stack/tcp/connection.ts";
import { SendTimer } from "../../stack/tcp/connection_state.ts";
import { LOST, RETRANSMITTED, SACKED } from "../../stack/tcp/sent.ts";
import type { Host } from "./host.ts";

/** Longest time-out, with what the timer wheel may add, in µs. */
const LONGEST_TIMER = 121_000_000;

/**
 * Judges one connection between two turns.
 * @param records Whether to walk through what is in flight, which takes time in proportion.
 * @param stuck Whether its device had no slot, so that it waits without a timer.
 * @returns What is wrong, or null.
 */
export function judgeConnection(
  c: TcpConnection,
  now: number,
  records: boolean,
  stuck: boolean,
): string | null {
  if (c.state === State.Closed) {
    return c.head >= 0 || c.sendRing.region !== null ? "Holds data to send after its end" : null;
  }
  const { packetsOut, sackedOut, lostOut, retransOut } = c;
  if (
    packetsOut < 0 || sackedOut < 0 || lostOut < 0 || retransOut < 0 || sackedOut + lostOut > packetsOut ||
    retransOut > packetsOut
  ) {
    return `Counts ${packetsOut} out, ${sackedOut} sacked, ${lostOut} lost, ${retransOut} retransmitted`;
  }
  const unacked = c.sndNxt - c.sndUna | 0;
  if (unacked < 0) return `SND.NXT is ${-unacked} below SND.UNA`;
  const sent = c.sndNxt - c.sendBase | 0;
  if (c.state >= State.Established && sent > c.sendQueued + (c.finSent ? 1 : 0)) {
    return `Has sent ${sent} bytes of ${c.sendQueued}`;
  }
  if (c.sendQueued < 0 || c.sendQueued > Math.max(c.sendLimit, c.sendRing.capacity)) {
    return `Holds ${c.sendQueued} bytes to send`;
  }
  if (c.sendQueued > c.sendRing.capacity) return `Says ${c.sendQueued} bytes lie in ${c.sendRing.capacity}`;
  if (!(c.cwnd >= 1) || !(c.ssthresh >= 2)) return `Has cwnd ${c.cwnd}, ssthresh ${c.ssthresh}`;
  if (!(c.rto > 0 && c.rto <= LONGEST_TIMER) || !(c.srtt >= 0)) {
    return `Has RTO ${c.rto}, SRTT ${c.srtt}`;
  }
  if (!(c.mss >= 1)) return `Has an MSS of ${c.mss}`;
  const window = c.rcvAdv - c.rcvNxt | 0;
  if (window < 0 && c.state >= State.Established) return `Offers a window of ${window}`;
  if (c.readable < 0 || c.readable > c.receiveRing.capacity) {
    return `Says ${c.readable} bytes can be read of ${c.receiveRing.capacity}`;
  }
  // The shift rounds up, so that no offer is taken back; with tiny segments that may add up to as much again.
  if (c.readable + window > 2 * c.receiveLimit + (1 << c.rcvShift)) {
    return `Offers ${window} bytes beside ${c.readable} that wait`;
  }
  return judgeTimers(c, now, stuck) ?? judgeAssembler(c) ?? (records ? judgeRecords(c) : null);
}

function judgeTimers(c: TcpConnection, now: number, stuck: boolean): string | null {
  const due = Math.min(c.sendTimerAt, c.ackTimerAt, c.lifeTimerAt, c.keepAliveAt);
  if (due !== Infinity && !(c.timer.deadline <= due)) {
    return `Is due at ${due} but its timer is set to ${c.timer.deadline}`;
  }
  if (c.sendTimer === SendTimer.None ? c.sendTimerAt !== Infinity : c.sendTimerAt === Infinity) {
    return `Has send timer ${SendTimer[c.sendTimer]} at ${c.sendTimerAt}`;
  }
  if (c.sendTimerAt !== Infinity && c.sendTimerAt > now + LONGEST_TIMER) {
    return `Waits ${c.sendTimerAt - now} µs for its send timer`;
  }
  if (c.head >= 0 && c.sendTimer === SendTimer.None) return "Has data in flight and no timer";
  if (stuck || c.state < State.Established || c.state === State.TimeWait) return null;
  const unsent = c.sendQueued - (c.sndNxt - c.sendBase | 0);
  if (c.head < 0 && (unsent > 0 || (c.finQueued && !c.finSent)) && c.sendTimer === SendTimer.None) {
    return `Has ${unsent} bytes to send, nothing in flight and no timer`;
  }
  if (c.state === State.FinWait2 && c.orphan && c.lifeTimerAt === Infinity) return "Lingers without a timer";
  return null;
}

function judgeAssembler(c: TcpConnection): string | null {
  const a = c.assembler;
  if (a === null || c.finReceived) return null;
  let last = c.rcvNxt;
  for (let i = 0; i < a.count; i++) {
    const start = a.start(i), end = a.end(i);
    if ((start - last | 0) <= 0 || (end - start | 0) <= 0) {
      return `Holds a range ${start - c.rcvNxt | 0} to ${end - c.rcvNxt | 0} behind one to ${
        last - c.rcvNxt | 0
      }`;
    }
    last = end;
  }
  if ((last - c.rcvAdv | 0) > 0) return `Holds data ${last - c.rcvAdv | 0} bytes beyond its window`;
  if (c.readable + heldBeyond(c) > c.receiveRing.capacity) {
    return "Holds more out of order than its ring has room for";
  }
  return null;
}

function judgeRecords(c: TcpConnection): string | null {
  const records = c.tcp.records;
  let out = 0, sacked = 0, lost = 0, retransmitted = 0, last = -1;
  let at = c.sndUna;
  let count = 0;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    const flags = records.flags[r]!, segments = records.segments[r]!;
    if (records.start[r] !== at) {
      return `Has a record from ${records.start[r]! - c.iss | 0}, not ${at - c.iss | 0}`;
    }
    at = records.end[r]!;
    if ((at - records.start[r]! | 0) <= 0) return `Has a record of ${at - records.start[r]! | 0} bytes`;
    if (segments < 1) return `Has a record of ${segments} segments`;
    out += segments;
    if (flags & SACKED) sacked += segments;
    if (flags & LOST) lost += segments;
    if (flags & RETRANSMITTED) retransmitted += segments;
    if (flags & SACKED && flags & (LOST | RETRANSMITTED)) return "Has a record both sacked and lost";
    last = r;
    count++;
  }
  if (count !== c.recordCount) return `Has ${count} records and counts ${c.recordCount}`;
  if (last !== c.tail) return `Ends its records with ${c.tail} instead of ${last}`;
  if (c.head >= 0 && at !== c.sndNxt) return `Has records up to ${at - c.iss | 0} of ${c.sndNxt - c.iss | 0}`;
  if (c.head < 0 && c.sndNxt !== c.sndUna) return "Has sequence numbers in flight and no records";
  if (out !== c.packetsOut || lost !== c.lostOut || retransmitted !== c.retransOut) {
    return `Counts ${c.packetsOut}/${c.lostOut}/${c.retransOut} out/lost/retransmitted of ${out}/${lost}/${retransmitted}`;
  }
  // Without SACK the number stands for duplicate ACKs.
  if (c.sackPermitted && sacked !== c.sackedOut) return `Counts ${c.sackedOut} sacked of ${sacked}`;
  return null;
}

/** Judges a host after its last connection. @returns What it has not given back, or null. */
export function judgeRest(host: Host): string | null {
  const { stack, nic } = host;
  const { tcp } = stack;
  const left: string[] = [];
  if (tcp.size !== 0) {
    tcp.forEach((c) => left.push(`connection in ${State[c.state]} to port ${c.remotePort}`));
  }
  if (tcp.orphans !== 0) left.push(`${tcp.orphans} orphans`);
  if (tcp.records.size !== 0) left.push(`${tcp.records.size} records`);
  if (tcp.pool.used !== 0) left.push(`${tcp.pool.used} bytes of rings`);
  if (stack.udp.size !== 0) left.push(`${stack.udp.size} UDP ports`);
  if (stack.reassembler.size !== 0) left.push(`${stack.reassembler.size} packets in pieces`);
  if (stack.timers.size !== 0) left.push(`${stack.timers.size} timers`);
  if (nic.free !== nic.slots) left.push(`${nic.slots - nic.free} slots`);
  if (nic.misuses !== 0) left.push(`${nic.misuses} misused packets`);
  return left.length === 0 ? null : `Left behind: ${left.join(", ")}`;
}

/** A connection in one line. */
export function describeConnection(c: TcpConnection): string {
  return `${State[c.state]} una ${c.sndUna - c.iss | 0} nxt ${c.sndNxt - c.iss | 0} queued ${c.sendQueued}` +
    ` wnd ${c.sndWnd} mss ${c.mss} cwnd ${c.cwnd} ssthresh ${c.ssthresh} recovery ${c.recovery}` +
    ` out ${c.packetsOut} sacked ${c.sackedOut} lost ${c.lostOut} retrans ${c.retransOut}` +
    ` timeouts ${c.timeouts} probes ${c.unansweredProbes} rto ${Math.round(c.rto)} srtt ${
      Math.round(c.srtt)
    }` +
    ` timer ${SendTimer[c.sendTimer]} at ${c.sendTimerAt} | nxt ${c.rcvNxt - c.irs | 0}` +
    ` adv ${c.rcvAdv - c.irs | 0} readable ${c.readable} paused ${c.paused} held ${c.assembler?.count ?? 0}` +
    ` fin ${c.finReceived} orphan ${c.orphan}`;
}
