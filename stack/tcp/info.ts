/**
 * What a connection knows of itself, with the names and units of Linux's `struct tcp_info`.
 *
 * @module
 */

import { INITIAL_WINDOW } from "./congestion.ts";
import { State } from "./api.ts";
import type { TcpConnection } from "./connection.ts";
import { Limit, Recovery } from "./connection_state.ts";

/** {@link TcpInfo.options}: timestamps are in force. */
export const INFO_TIMESTAMPS = 1;
/** {@link TcpInfo.options}: selective acknowledgments are in force. */
export const INFO_SACK = 2;
/** {@link TcpInfo.options}: windows are scaled. */
export const INFO_WINDOW_SCALE = 4;
/** {@link TcpInfo.options}: congestion notification is in force. */
export const INFO_ECN = 8;
/** {@link TcpInfo.options}: something came that could have been marked. */
export const INFO_ECN_SEEN = 16;

/** {@link TcpInfo.options}: the SYN's data was taken (RFC 7413). */
export const INFO_SYN_DATA = 32;
/** {@link TcpInfo.options}: it was handed over with the data of its SYN, before its handshake was over. */
export const INFO_FAST_OPEN_CHILD = 128;

/** What {@link TcpInfo.pacing_rate} says of no pacing: Linux's ~0. */
const NO_PACING = 2 ** 64 - 1;

/** A snapshot of one connection. Times are µs, windows segments, unless it says otherwise. */
export interface TcpInfo {
  /** Linux's number of the state: 1 ESTABLISHED, 2 SYN_SENT, … 11 CLOSING. */
  state: number;
  /** 0 open, 1 disorder, 2 window reduced, 3 recovery, 4 loss. */
  ca_state: number;
  /** Time-outs in a row. */
  retransmits: number;
  /** Probes without an answer: of a closed window, or keep-alive. */
  probes: number;
  /** How often the retransmission time-out was doubled. */
  backoff: number;
  /** `INFO_*` bits. */
  options: number;
  /** The peer's window shift. */
  snd_wscale: number;
  /** Our window shift. */
  rcv_wscale: number;
  /** 1 when the delivery rate was limited by the application. */
  delivery_rate_app_limited: number;
  /** The latest sample of the delivery rate, bytes a second; 0 before the first. */
  delivery_rate: number;
  /** Bytes a second that bound {@link pacing_rate}; 2^64 − 1 for no bound. */
  max_pacing_rate: number;
  /** Bytes a second at which data is sent; 2^64 − 1 when it is not paced. */
  pacing_rate: number;
  /** Retransmission time-out. */
  rto: number;
  /** Why Fast Open did not carry data: 0 it did or was not asked, 1 no cookie, 2 not acknowledged, 3 SYN sent again. */
  fastopen_client_fail: number;
  /** How long ACKs are delayed. */
  ato: number;
  /** Bytes of payload of a segment that we send. */
  snd_mss: number;
  /** Bytes of the largest segment received lately. */
  rcv_mss: number;
  /** Segments in flight or sacked. */
  unacked: number;
  /** Of those, sacked. */
  sacked: number;
  /** Of those, deemed lost. */
  lost: number;
  /** Of those, sent again and still under way. */
  retrans: number;
  /** Segments below the highest one acknowledged selectively: Linux has given it up, and says 0. */
  fackets: number;
  /** Linux never kept it: 0. */
  last_ack_sent: number;
  /** Milliseconds since data was sent. */
  last_data_sent: number;
  /** Milliseconds since data was received. */
  last_data_recv: number;
  /** Milliseconds since anything was received. */
  last_ack_recv: number;
  /** Path MTU, in bytes. */
  pmtu: number;
  /** Most bytes that may wait to be taken: the window grows no further than this. */
  rcv_ssthresh: number;
  /** Round-trip time as a receiver sees it; 0 before it is known. */
  rcv_rtt: number;
  /** Bytes that the application takes in such a round trip, at most. */
  rcv_space: number;
  /** Smoothed round-trip time. */
  rtt: number;
  /** Its deviation. */
  rttvar: number;
  /** Slow-start threshold. */
  snd_ssthresh: number;
  /** Congestion window. */
  snd_cwnd: number;
  /** Largest segment that we told the peer of, in bytes. */
  advmss: number;
  /** Segments that may overtake each other. */
  reordering: number;
  /** Segments sent again, in all. */
  total_retrans: number;
  /** Bytes that the peer has acknowledged; SYN (of an active open) and FIN count as one each. */
  bytes_acked: number;
  /** Bytes received in order; a FIN counts as one. */
  bytes_received: number;
  /** Segments sent, retransmissions, ACKs and all, but no SYN-ACK. */
  segs_out: number;
  /** Segments received. */
  segs_in: number;
  /** Bytes written and never sent; a FIN that waits counts. */
  notsent_bytes: number;
  /** Least round-trip time seen; 2^32 − 1 before the first. */
  min_rtt: number;
  /** Segments with data received. */
  data_segs_in: number;
  /** Segments with data sent. */
  data_segs_out: number;
  /** µs in which there was something to send. */
  busy_time: number;
  /** Of that, µs in which the peer's window was in the way. */
  rwnd_limited: number;
  /** Of that, µs in which everything was sent and the application waited for room in the send buffer. */
  sndbuf_limited: number;
  /** Segments delivered by ACKs that echoed a congestion mark. */
  delivered_ce: number;
  /** Segments delivered to the peer, as far as is known. */
  delivered: number;
  /** Bytes of data sent, retransmissions included. */
  bytes_sent: number;
  /** Bytes of data sent again. */
  bytes_retrans: number;
  /** Duplicates that the peer has reported (RFC 2883). */
  dsack_dups: number;
  /** How often segments were seen to overtake each other. */
  reord_seen: number;
  /** Segments received out of order. */
  rcv_ooopack: number;
  /** Window that the peer offers, in bytes. */
  snd_wnd: number;
  /** Window that we offer, in bytes. */
  rcv_wnd: number;
  /** Times that the flow label was changed to find another path: 0, it never is. */
  rehash: number;
  /** Times that the retransmission timer expired, SYNs included. */
  total_rto: number;
  /** Rows of such time-outs, the one under way included. */
  total_rto_recoveries: number;
  /** Milliseconds that they took. */
  total_rto_time: number;
  /** Segments that came marked. Like those that follow, 0 unless feedback is accurate (RFC 9768). */
  received_ce: number;
  /** Bytes that the peer has received as ECT(1). */
  delivered_e1_bytes: number;
  /** Bytes that the peer has received as ECT(0). */
  delivered_e0_bytes: number;
  /** Bytes that the peer has received marked. */
  delivered_ce_bytes: number;
  /** Bytes received as ECT(1). */
  received_e1_bytes: number;
  /** Bytes received as ECT(0). */
  received_e0_bytes: number;
  /** Bytes received marked. */
  received_ce_bytes: number;
}

/** Linux's numbers, by {@link State}. */
const LINUX_STATE: Record<State, number> = {
  [State.Closed]: 7,
  [State.Listen]: 10,
  [State.SynSent]: 2,
  [State.SynReceived]: 3,
  [State.Established]: 1,
  [State.FinWait1]: 4,
  [State.FinWait2]: 5,
  [State.CloseWait]: 8,
  [State.Closing]: 11,
  [State.LastAck]: 9,
  [State.TimeWait]: 6,
};

/** Takes the snapshot. Allocates: for people and monitors, not for the packet path. */
export function tcpInfo(c: TcpConnection): TcpInfo {
  const now = c.tcp.stack.now;
  return {
    state: linuxState(c),
    ca_state: caState(c),
    retransmits: c.timeouts,
    probes: c.keepAliveProbes > 0 ? c.keepAliveProbes : c.unansweredProbes,
    backoff: c.backoff,
    options: (c.timestamps ? INFO_TIMESTAMPS : 0) | (c.sackPermitted ? INFO_SACK : 0) |
      (c.windowScaling ? INFO_WINDOW_SCALE : 0) | (c.ecn || c.accurate !== null ? INFO_ECN : 0) |
      (c.fastOpen?.accepted ? INFO_SYN_DATA : 0) | (c.fastOpen?.early ? INFO_FAST_OPEN_CHILD : 0) |
      (c.ecnSeen ? INFO_ECN_SEEN : 0),
    snd_wscale: c.sndShift,
    rcv_wscale: c.rcvShift,
    delivery_rate_app_limited: c.deliveryAppLimited ? 1 : 0,
    delivery_rate: c.deliveryInterval > 0
      ? Math.floor(c.deliverySegments * c.mss * 1e6 / c.deliveryInterval)
      : 0,
    pacing_rate: c.pacingRate > 0 ? Math.floor(Math.min(c.pacingRate, c.maxPacingRate)) : NO_PACING,
    max_pacing_rate: c.maxPacingRate < Infinity ? Math.floor(c.maxPacingRate) : NO_PACING,
    rto: Math.round(Math.min(c.rto * 2 ** Math.min(c.doublings, 16), c.mostRto)),
    fastopen_client_fail: c.fastOpen?.failure ?? 0,
    ato: 40_000,
    snd_mss: c.mss,
    rcv_mss: c.rcvMss,
    unacked: c.packetsOut,
    sacked: c.sackedOut,
    lost: c.lostOut,
    retrans: c.retransOut,
    fackets: 0,
    last_ack_sent: 0,
    last_data_sent: milliseconds(now - c.lastSent),
    last_data_recv: milliseconds(now - c.lastData),
    last_ack_recv: milliseconds(now - c.lastReceived),
    pmtu: c.path.mtu,
    rcv_ssthresh: c.receiveMemory?.threshold ?? Math.min(c.receiveLimit, c.windowClamp),
    rcv_rtt: Math.round(c.receiverRtt),
    rcv_space: Math.max(c.receiveSpace, Math.min(INITIAL_WINDOW * c.rcvMss, c.receiveLimit)),
    rtt: Math.round(c.srtt),
    rttvar: Math.round(c.mdev),
    snd_ssthresh: c.ssthresh,
    snd_cwnd: c.cwnd,
    advmss:
      Math.min(c.path.interface.mtu - c.path.headerLength - 20, c.mssLimit || 65495, c.offeredMss || 65495) -
      (c.timestamps ? 12 : 0),
    reordering: c.reorderDegree,
    total_retrans: c.retransmissions,
    // Linux counts the SYN of an active open and the FIN.
    bytes_acked: c.bytesAcked + (c.active && c.state > State.SynReceived ? 1 : 0) +
      (c.finSent && c.sndUna === c.sndNxt ? 1 : 0),
    bytes_received: c.bytesReceived + (c.finReceived ? 1 : 0),
    segs_out: c.segmentsOut,
    segs_in: c.segmentsIn,
    notsent_bytes: notSent(c),
    min_rtt: c.minRtt === Infinity ? 0xffffffff : Math.round(c.minRtt),
    data_segs_in: c.dataSegmentsIn,
    data_segs_out: c.dataSegmentsOut,
    busy_time: limitTime(c, Limit.Network, now) + limitTime(c, Limit.Window, now) +
      limitTime(c, Limit.Buffer, now),
    rwnd_limited: limitTime(c, Limit.Window, now),
    sndbuf_limited: limitTime(c, Limit.Buffer, now),
    delivered_ce: c.deliveredMarked,
    delivered: c.delivered,
    bytes_sent: c.bytesSent + c.bytesRetransmitted,
    bytes_retrans: c.bytesRetransmitted,
    dsack_dups: c.duplicateSacks,
    reord_seen: c.reordering,
    rcv_ooopack: c.outOfOrder,
    snd_wnd: c.sndWnd,
    rcv_wnd: Math.max(0, c.rcvAdv - c.lastAck | 0),
    rehash: 0,
    total_rto: c.totalTimeouts,
    total_rto_recoveries: c.timeoutRows,
    total_rto_time: milliseconds(c.timeoutTime + (c.timeoutAt > 0 ? now - c.timeoutAt : 0)),
    received_ce: c.accurate?.marksReceived ?? 0,
    delivered_e1_bytes: c.accurate?.bytesTold[1] ?? 0,
    delivered_e0_bytes: c.accurate?.bytesTold[2] ?? 0,
    delivered_ce_bytes: c.accurate?.bytesTold[3] ?? 0,
    received_e1_bytes: c.accurate?.bytesReceived[1] ?? 0,
    received_e0_bytes: c.accurate?.bytesReceived[2] ?? 0,
    received_ce_bytes: c.accurate?.bytesReceived[3] ?? 0,
  };
}

/** On Linux a connection closes when that is asked for, whenever the FIN goes out. */
function linuxState(c: TcpConnection): number {
  const closing = c.finQueued && !c.finSent;
  if (closing && c.state === State.Established) return LINUX_STATE[State.FinWait1];
  return LINUX_STATE[closing && c.state === State.CloseWait ? State.LastAck : c.state];
}

/** Bytes that wait to be sent; a FIN counts. */
function notSent(c: TcpConnection): number {
  const sent = c.sndNxt - c.sendBase - (c.finSent ? 1 : 0) | 0;
  return Math.max(0, c.sendQueued - sent) + (c.finQueued && !c.finSent ? 1 : 0);
}

/** µs in which sending waited for one thing. */
function limitTime(c: TcpConnection, limit: Limit, now: number): number {
  const before = limit === Limit.Network
    ? c.networkTime
    : limit === Limit.Window
    ? c.windowTime
    : c.bufferTime;
  return Math.round(before + (c.limit === limit ? now - c.limitSince : 0));
}

/** Whole milliseconds; 0 for what never was. */
function milliseconds(micros: number): number {
  return micros === Infinity ? 0 : Math.floor(micros / 1000);
}

function caState(c: TcpConnection): number {
  switch (c.recovery) {
    case Recovery.Open:
      return c.disorder ? 1 : 0;
    case Recovery.Reduced:
      return 2;
    case Recovery.Fast:
      return 3;
    case Recovery.Loss:
      return 4;
  }
}
