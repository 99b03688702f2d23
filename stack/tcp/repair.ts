/**
 * Repair of losses: RACK-TLP (RFC 8985) finds them, PRR (RFC 6937) paces what is sent again, and what turns out to be
 * needless is taken back. The states are Linux's, so that peers see the same.
 *
 * @module
 */

import type { TcpOptions } from "../wire/tcp.ts";
import type { TcpConnection } from "./connection.ts";
import { Recovery } from "./connection_state.ts";
import {
  addDuplicate,
  detectLosses,
  markLost,
  mayStillArrive,
  narrowReordering,
  noteReordering,
  persistReordering,
} from "./loss_detection.ts";
import { INFINITE_SSTHRESH } from "./congestion.ts";
import { mtuProbeLost } from "./mtu_probing.ts";
import { retransmit } from "./output.ts";
import { EVER_RETRANSMITTED, LOST, SACKED, SYN_RECORD } from "./sent.ts";
import { after, before } from "./sequence.ts";
import { armSendTimer } from "./timers.ts";
import { sample } from "./ack_sample.ts";

/**
 * What an ACK means that is not what it should be, or that comes while something is missing (as Linux goes about it).
 * @param duplicate It counts as a duplicate ACK, of a peer without SACK. @param sacked It told of something new.
 * @param marked It echoes a congestion mark.
 */
export function judge(
  c: TcpConnection,
  options: TcpOptions,
  priorUna: number,
  advanced: boolean,
  duplicate: boolean,
  sacked: boolean,
  marked: boolean,
  now: number,
): void {
  if (c.packetsOut === 0) c.sackedOut = 0;
  // What a mark asks for is not taken back.
  if (marked) c.undoCwnd = c.undoSsthresh = 0;
  if (c.recovery === Recovery.Open && !c.disorder) c.undoSent = false;
  if (c.recovery === Recovery.Reduced) {
    // A mark's reduction lasts until something is acknowledged that was sent since.
    if (after(c.sndUna, c.recoveryPoint)) {
      endReduction(c);
      c.recovery = Recovery.Open;
      c.disorder = false;
    }
  } else if (c.recovery === Recovery.Fast && !before(c.sndUna, c.recoveryPoint)) {
    if (!c.sackPermitted) c.sackedOut = 0;
    if (endRepair(c, options, advanced)) return;
    endReduction(c);
  }
  if (c.recovery === Recovery.Fast) {
    if (advanced) {
      if (undoPartly(c, options, priorUna)) return;
    } else if (duplicate) addDuplicate(c);
    if (undoReported(c)) tryToOpen(c, marked, now);
    detectLosses(c, advanced, now);
    if ((c.recovery as Recovery) !== Recovery.Fast && c.lostOut > 0) enterRecovery(c, marked, now);
    return;
  }
  if (c.recovery === Recovery.Loss) {
    const { retransOut } = c;
    afterTimeout(c, options, advanced, duplicate, sacked);
    detectLosses(c, advanced, now);
    if ((c.recovery as Recovery) !== Recovery.Open && c.retransOut >= retransOut) return;
  }
  if (!c.sackPermitted) {
    if (advanced) c.sackedOut = 0;
    if (duplicate) addDuplicate(c);
  }
  if (c.recovery === Recovery.Open) undoReported(c);
  detectLosses(c, advanced, now);
  if (c.lostOut > 0) lossFound(c, marked, now);
  else tryToOpen(c, marked, now);
}

/** No loss is known: everything is in order, unless a mark has to be answered. */
function tryToOpen(c: TcpConnection, marked: boolean, now: number): void {
  if (!repairs(c)) c.undoSent = false;
  if (marked) echoed(c, now);
  if (c.recovery !== Recovery.Reduced) keepOpen(c);
}

/** Whether what was sent again is still under way. */
function repairs(c: TcpConnection): boolean {
  return c.retransOut > 0 || (c.head >= 0 && (c.tcp.records.flags[c.head]! & EVER_RETRANSMITTED) !== 0);
}

/** Not in recovery: is everything in order? */
function keepOpen(c: TcpConnection): void {
  const repairing = repairs(c);
  if (!repairing) c.undoSent = false;
  const disorder = c.sackedOut + c.lostOut > 0 || repairing;
  if (c.recovery !== Recovery.Open || c.disorder !== disorder) c.recoveryPoint = c.sndNxt;
  c.recovery = Recovery.Open;
  c.disorder = disorder;
}

/** The window is where it was to be, unless that was taken back. */
function endReduction(c: TcpConnection): void {
  if (c.congestion.rateControl !== null || c.ssthresh >= INFINITE_SSTHRESH) return;
  if (c.recovery === Recovery.Reduced || c.undoValid) c.cwnd = c.ssthresh;
}

/**
 * Everything is acknowledged that was in flight when repair began.
 * @returns Whether repair goes on all the same: without SACK, late duplicates would begin it anew (RFC 6582, section 6).
 */
function endRepair(c: TcpConnection, options: TcpOptions, advanced: boolean): boolean {
  if (mayUndo(c, options, advanced)) undo(c, false);
  else narrowReordering(c);
  if (holdsOpening(c)) return true;
  c.recovery = Recovery.Open;
  c.disorder = c.frto = false;
  return false;
}

/** Without SACK, repair lasts until something is acknowledged that was sent since it began. */
function holdsOpening(c: TcpConnection): boolean {
  if (c.sackPermitted || c.sndUna !== c.recoveryPoint) return false;
  if (!repairs(c)) c.undoSent = false;
  return true;
}

/** An ACK in the middle of repair, of a first copy that was late. @returns Whether that is all that there is to do. */
function undoPartly(c: TcpConnection, options: TcpOptions, priorUna: number): boolean {
  if (!c.undoValid || !isDelayed(c, options, true)) return false;
  noteReordering(c, priorUna);
  // What was sent again needlessly is still under way: no more of it.
  if (c.retransOut > 0) {
    c.repairPaused = true;
    return true;
  }
  undo(c, true);
  keepOpen(c);
  return false;
}

/** Every retransmission was reported as a duplicate (RFC 3708). @returns Whether. */
function undoReported(c: TcpConnection): boolean {
  if (!c.undoValid || c.undoRetransmits !== 0) return false;
  persistReordering(c);
  undo(c, false);
  return true;
}

/** An ACK after a time-out (RFC 5682, section 3.1, as Linux has it). */
function afterTimeout(
  c: TcpConnection,
  options: TcpOptions,
  advanced: boolean,
  duplicate: boolean,
  sacked: boolean,
): void {
  const recovered = !before(c.sndUna, c.recoveryPoint);
  c.repairHeld = false;
  if (advanced && mayUndo(c, options, true) && undoTimeout(c, false)) return;
  if (c.frto) {
    // Step 3.b: what was never sent again has arrived. Without SACK it may have lain behind what was sent again for long.
    if (sample.original && (c.sackPermitted || !sample.retransmitted) && undoTimeout(c, true)) return;
    if (after(c.sndNxt, c.recoveryPoint)) {
      // Step 3.a: it was lost indeed.
      if (sacked || duplicate) c.frto = false;
    } else if (advanced && !recovered) {
      // Step 2.b: new data shows which it was.
      c.recoveryPoint = c.sndNxt;
      if (c.sendQueued > (c.sndNxt - c.sendBase | 0) && after(c.sndUna + c.sndWnd | 0, c.sndNxt)) {
        c.repairHeld = true;
        return;
      }
      c.frto = false;
    }
  }
  if (recovered) {
    endRepair(c, options, advanced);
    return;
  }
  if (c.sackPermitted) return;
  if (duplicate && after(c.sndNxt, c.recoveryPoint)) addDuplicate(c);
  else if (advanced) c.sackedOut = 0;
}

/** The time-out was needless. @returns True. */
function undoTimeout(c: TcpConnection, frto: boolean): boolean {
  undo(c, true);
  c.timeouts = 0;
  if (holdsOpening(c)) return true;
  if (frto || c.sackPermitted) {
    c.recovery = Recovery.Open;
    c.disorder = c.frto = false;
  }
  return true;
}

/** What was late is lost: its repair begins without an ACK to clock it. */
export function repairReordered(c: TcpConnection, now: number): void {
  if (c.recovery === Recovery.Fast) return;
  c.repairHeld = false;
  lossFound(c, false, now);
  if (c.congestion.rateControl === null && (c.recovery as Recovery) === Recovery.Fast) {
    proportional(c, 1, true, false);
  }
}

/** Segments are missing: repairs them, with a smaller window unless it was a probe that is missing. */
function lossFound(c: TcpConnection, marked: boolean, now: number): void {
  if (c.mtuProbing === null || !mtuProbeLost(c, c.mtuProbing)) enterRecovery(c, marked, now);
}

function enterRecovery(c: TcpConnection, marked: boolean, now: number): void {
  if (c.recovery === Recovery.Reduced) {
    // A mark of the same window has reduced it already, which nothing takes back.
    saveForUndo(c);
    c.undoCwnd = c.undoSsthresh = 0;
  } else {
    reduce(c, now);
    if (marked) c.undoCwnd = c.undoSsthresh = 0;
  }
  c.undoSent = false;
  c.recovery = Recovery.Fast;
  c.disorder = c.frto = false;
  c.tcp.counters.fastRecoveries++;
}

/** Sets the threshold for what follows, which {@link proportional} brings the window to. */
function reduce(c: TcpConnection, now: number): void {
  c.priorCwnd = c.cwnd;
  c.prrDelivered = c.prrOut = 0;
  saveForUndo(c);
  c.ssthresh = c.congestion.reduce(c, now);
  c.cwndCount = 0;
  c.probing = false;
  c.recoveryPoint = c.sndNxt;
  tellReduced(c);
}

/** The peer is told of a reduction, whatever its reason (RFC 3168, section 6.1.2). */
function tellReduced(c: TcpConnection): void {
  c.cwrDue = c.ecn && c.accurate === null;
}

/** The peer has echoed a congestion mark: reduces the window, once a round trip (RFC 3168, section 6.1.2). */
function echoed(c: TcpConnection, now: number): void {
  if (c.recovery !== Recovery.Open) return;
  reduce(c, now);
  c.undoValid = false;
  c.recovery = Recovery.Reduced;
  c.disorder = false;
  c.tcp.counters.markReductions++;
}

/** Remembers what a recovery that turns out to be needless has to give back. */
function saveForUndo(c: TcpConnection): void {
  c.undoValid = true;
  c.undoStart = c.sndUna;
  c.undoCwnd = c.cwnd;
  c.undoSsthresh = c.ssthresh;
  // Those that an earlier recovery has under way count as well.
  c.undoRetransmits = c.retransOut + (c.probing && c.probeAgain ? 1 : 0) || -1;
}

/** Whether nothing was lost after all: every retransmission was reported as a duplicate (RFC 3708), or came too early. */
function mayUndo(c: TcpConnection, options: TcpOptions, advanced: boolean): boolean {
  return c.undoValid && (c.undoRetransmits === 0 || isDelayed(c, options, advanced));
}

/** The echoed timestamp is older than the first retransmission (Eifel, RFC 3522). */
function isDelayed(c: TcpConnection, options: TcpOptions, advanced: boolean): boolean {
  return c.undoSent && advanced && c.timestamps && options.timestamps &&
    (options.timestampEcho - c.undoStamp | 0) < 0;
}

/** Takes a needless reduction of the window back (RFC 4015). @param found Whether what was given up is found again. */
function undo(c: TcpConnection, found: boolean): void {
  const records = c.tcp.records;
  for (let r = found ? c.head : -1; r >= 0; r = records.next[r]!) {
    const flags = records.flags[r]!;
    if (flags & LOST) {
      c.lostOut -= records.segments[r]!;
      records.flags[r] = flags & ~LOST;
    }
  }
  c.undoValid = false;
  c.rackAdvanced = true;
  c.cwnd = Math.max(c.cwnd, c.undoCwnd);
  if (c.undoSsthresh > c.ssthresh) {
    c.ssthresh = c.undoSsthresh;
    c.cwrDue = false;
  }
  c.congestion.undone(c);
  c.tcp.counters.spuriousRecoveries++;
  c.tracer?.undone();
}

/** Proportional rate reduction (RFC 6937, section 3, with the slow-start bound while repair goes well). */
export function proportional(
  c: TcpConnection,
  delivered: number,
  newlyLost: boolean,
  progress: boolean,
): void {
  c.prrDelivered += delivered;
  const pipe = c.inFlight;
  let quota: number;
  if (pipe > c.ssthresh) {
    quota = Math.ceil(c.prrDelivered * c.ssthresh / Math.max(c.priorCwnd, 1)) - c.prrOut;
  } else {
    quota = Math.max(c.prrDelivered - c.prrOut, delivered);
    if (progress && !newlyLost) quota++;
    quota = Math.min(c.ssthresh - pipe, quota);
  }
  // The first retransmission goes out at once.
  quota = Math.max(quota, c.prrOut === 0 ? 1 : 0);
  c.cwnd = Math.max(pipe + quota, 1);
}

/** The retransmission timer has expired: everything not sacked is lost (RFC 6298, section 5; RFC 5681, section 3.1). */
export function retransmissionTimeout(c: TcpConnection, now: number): void {
  c.tcp.counters.retransmissionTimeouts++;
  const again = c.timeouts > 1;
  // In the middle of a repair, what arrives late proves nothing (RFC 5682, section 2.1, step 1).
  const frto = c.recovery <= Recovery.Reduced || again;
  markTimedOut(c, now);
  if (
    c.recovery === Recovery.Open || !after(c.recoveryPoint, c.sndUna) ||
    (c.recovery === Recovery.Loss && !again)
  ) {
    saveForUndo(c);
    c.ssthresh = c.congestion.reduce(c, now);
    c.priorCwnd = c.cwnd;
    c.congestion.timedOut(c);
  }
  // So many duplicates and still a time-out: segments do not overtake each other by as much as was thought.
  const { reordering } = c.tcp.settings;
  if (c.recovery === Recovery.Open && c.sackedOut >= reordering) {
    c.reorderDegree = Math.min(c.reorderDegree, reordering);
  }
  tellReduced(c);
  c.frto = frto && c.tcp.settings.forwardRto && (c.mtuProbing === null || c.mtuProbing.size === 0);
  c.recovery = Recovery.Loss;
  c.recoveryPoint = c.sndNxt;
  c.cwndCount = 0;
  c.probing =
    c.disorder =
    c.repairHeld =
    c.repairPaused =
      false;
  c.cwnd = c.inFlight + 1;
  if (c.head >= 0) {
    // The first segment goes out, however full the network is thought to be.
    retransmit(c, c.head, 1, now);
    // What retransmit split off stays lost and waits for the window.
  }
}

/** Gives up what was in flight when the timer expired, but for what was sent so late that it may still come. */
function markTimedOut(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  // A peer may renege on SACKs only until here: the first record is missing whatever it said (RFC 2018, section 8).
  const reneged = c.head >= 0 && (records.flags[c.head]! & SACKED) !== 0;
  if (!c.sackPermitted) c.sackedOut = 0;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if (records.flags[r]! & SACKED) {
      if (!reneged) continue;
      records.flags[r]! &= ~SACKED;
      c.sackedOut -= records.segments[r]!;
    }
    if (records.flags[r]! & SYN_RECORD) continue;
    if (!reneged && r !== c.head && mayStillArrive(c, r, now)) continue;
    markLost(c, r);
  }
}

/** What went with a SYN was not taken. It goes out again at once; that tells nothing of the network (as Linux has it). */
export function sendLostAgain(c: TcpConnection, now: number): void {
  const records = c.tcp.records;
  for (let r = c.head; r >= 0; r = records.next[r]!) {
    if ((records.flags[r]! & (SACKED | SYN_RECORD)) === 0) markLost(c, r);
  }
  c.recovery = Recovery.Loss;
  c.recoveryPoint = c.sndNxt;
  c.undoValid = false;
  armSendTimer(c, now);
  c.tcp.markDirty(c);
}
