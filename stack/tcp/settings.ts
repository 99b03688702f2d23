/**
 * What can be set for all connections of a stack, with the meaning and the defaults of Linux's net.ipv4.tcp_*.
 *
 * @module
 */

import { Bbr } from "./bbr.ts";
import type { Congestion } from "./congestion.ts";
import { INITIAL_WINDOW, NewReno } from "./congestion.ts";
import { Cubic } from "./cubic.ts";

/** Names of the congestion controls. */
export type CongestionName = "cubic" | "reno" | "bbr";

/** {@link TcpSettings.fastOpen}: connections that we open may send data with their SYN. */
export const FAST_OPEN_CLIENT = 1;
/** {@link TcpSettings.fastOpen}: listeners may take data from a SYN. */
export const FAST_OPEN_SERVER = 2;
/** {@link TcpSettings.fastOpen}: connections that we open send data with their SYN though they have no cookie. */
export const FAST_OPEN_CLIENT_NO_COOKIE = 4;
/** {@link TcpSettings.fastOpen}: listeners take data from a SYN without a cookie. */
export const FAST_OPEN_SERVER_NO_COOKIE = 0x200;
/** {@link TcpSettings.fastOpen}: every listener takes part, with its backlog as the limit. */
export const FAST_OPEN_ALL_LISTENERS = 0x400;

/** Settings of the TCP layer. They may change at any time; a connection that exists keeps what it negotiated. */
export interface TcpSettings {
  /** Offer and accept selective acknowledgments (RFC 2018). `tcp_sack`. */
  sack: boolean;
  /** Report segments that came twice (RFC 2883). `tcp_dsack`. */
  duplicateSack: boolean;
  /** Offer and accept timestamps (RFC 7323). `tcp_timestamps`. */
  timestamps: boolean;
  /** Offer and accept window scaling (RFC 7323). `tcp_window_scaling`. */
  windowScaling: boolean;
  /** Probe for a lost tail (RFC 8985, section 7). `tcp_early_retrans`. */
  tailLossProbe: boolean;
  /** Start again from the initial window after an idle RTO (RFC 5681, section 4.1). `tcp_slow_start_after_idle`. */
  slowStartAfterIdle: boolean;
  /** Whether small segments are joined when they are sent again. `tcp_retrans_collapse`. */
  retransmitCollapse: boolean;
  /** Segments that may overtake each other before one counts as lost, 3 to 300. `tcp_reordering`. */
  reordering: number;
  /** First congestion window, in segments, at least 1 (RFC 6928). */
  initialWindow: number;
  /** Retransmissions of a SYN, beside those of {@link synLinearTimeouts}. `tcp_syn_retries`. */
  synRetries: number;
  /** Time-outs of a SYN before the intervals double. `tcp_syn_linear_timeouts`. */
  synLinearTimeouts: number;
  /** Retransmissions of a SYN-ACK. `tcp_synack_retries`. */
  synAckRetries: number;
  /** Time-outs in a row before a connection is given up. `tcp_retries2`. */
  dataRetries: number;
  /** The same once its application has closed it. `tcp_orphan_retries`, where 0 stands for 8. */
  orphanRetries: number;
  /**
   * Most connections that their applications have given up and that are still under way; one more is reset at once.
   * `tcp_max_orphans`.
   */
  orphans: number;
  /** µs that an orphan stays in FIN-WAIT-2. `tcp_fin_timeout`. */
  finTimeout: number;
  /** µs of idleness before the first keep-alive probe, where a connection asks for them. `tcp_keepalive_time`. */
  keepAliveTime: number;
  /** µs between keep-alive probes. `tcp_keepalive_intvl`. */
  keepAliveInterval: number;
  /** Keep-alive probes without an answer before a connection is given up. `tcp_keepalive_probes`. */
  keepAliveProbes: number;
  /**
   * Congestion notification: 0 never; 1 asked for and agreed to, 2, the default, only agreed to (RFC 3168); 3 with accurate
   * feedback (RFC 9768) where the peer has it, asked for and agreed to; 4 agreed to so, but asked for as by 1; 5 agreed to
   * so, but not asked for. `tcp_ecn`.
   */
  ecn: 0 | 1 | 2 | 3 | 4 | 5;
  /**
   * The option of accurate feedback: 0 never; 1 where something has changed; 2, the default, with every segment for which
   * the peer has shown that it gets through. `tcp_ecn_option`.
   */
  ecnOption: 0 | 1 | 2;
  /**
   * Greatest receive buffer, in bytes: decides the window shift that is offered, and half of it is the greatest window.
   * `tcp_rmem`, third value.
   */
  receiveMaximum: number;
  /** Bytes of the buffer with which a connection begins: half of it is offered. `tcp_rmem`, second value. */
  receiveDefault: number;
  /**
   * Let the window that is offered grow with what the application takes, from half of {@link receiveDefault} on; the
   * whole window is offered at once otherwise. `tcp_moderate_rcvbuf`.
   */
  receiveAutoTuning: boolean;
  /** Bytes that may wait in a send buffer at first; it grows to twice the congestion window. `tcp_wmem`, second value. */
  sendDefault: number;
  /**
   * Bytes that a send buffer holds at most. What is behind a loss stays in it until the loss is repaired: a link of B
   * bytes a round trip is filled through losses with 3 × B or more. `tcp_wmem`, third value.
   */
  sendMaximum: number;
  /** µs between ACKs of segments that cannot be accepted, of one connection. `tcp_invalid_ratelimit`. */
  invalidInterval: number;
  /** Segments to which a transmission is bounded from below when the pace is slow. `tcp_min_tso_segs`. */
  leastSuperSegments: number;
  /** Spread each window over a round trip, whichever the congestion control; BBR is paced always. */
  pacing: boolean;
  /**
   * Who may use Fast Open (RFC 7413), where a connection or a listener asks for it: `FAST_OPEN_*` bits.
   * `tcp_fastopen`. Default: both sides, with cookies.
   */
  fastOpen: number;
  /**
   * µs for which our own Fast Open stays off after time-outs that tell of a black hole, doubled each time up to 64
   * times that; 0, the default, never switches it off. `tcp_fastopen_blackhole_timeout_sec`.
   */
  fastOpenBlackHole: number;
  /**
   * Search for the largest packet that gets through (RFC 4821): 0 never; 1, the default, once a path seems to drop large
   * ones without a word; 2 always. `tcp_mtu_probing`.
   */
  mtuProbing: 0 | 1 | 2;
  /** Bytes of payload of a segment where the search begins, 48 to 65,495. `tcp_base_mss`. */
  baseMss: number;
  /** Bytes below which segments do not become when even those of {@link baseMss} do not get through. `tcp_mtu_probe_floor`. */
  mtuProbeFloor: number;
  /** Bytes of a packet between what gets through and what does not that end the search. `tcp_probe_threshold`. */
  mtuProbeThreshold: number;
  /** µs after which a search begins anew. `tcp_probe_interval`. */
  mtuProbeInterval: number;
  /** Bytes of payload of a segment at least, whatever peer and path say, 48 or more. `tcp_min_snd_mss`. */
  leastSendMss: number;
  /** Retransmissions of the same data before its path is doubted. `tcp_retries1`. */
  softRetries: number;
  /** Time-outs do not double while a connection has less than four segments in flight. `tcp_thin_linear_timeouts`. */
  thinLinearTimeouts: boolean;
  /** Undo a time-out when what it gave up is acknowledged without having been sent again (RFC 5682). `tcp_frto`. */
  forwardRto: boolean;
  /**
   * Handshakes without memory: 0 never, a SYN that finds no room is dropped; 1, the default, where there is no room; 2
   * always. `tcp_syncookies`.
   */
  synCookies: 0 | 1 | 2;
  /** Segments behind one gap that wait for one ACK at most; 0 tells of each. `tcp_comp_sack_nr`. */
  compressedSacks: number;
  /**
   * µs that such an ACK waits for more, at most a twentieth of a round trip; 1000 by default, as with Linux, and 0 waits for
   * the end of the turn alone. `tcp_comp_sack_delay_ns`.
   */
  compressedSackDelay: number;
  /** A SYN that asks for ECN and was lost is sent again without (RFC 3168, section 6.1.1.1). `tcp_ecn_fallback`. */
  ecnFallback: boolean;
  /**
   * Resets a connection whose handshake ends while its listener's queue is full; otherwise the peer, who believes that it is
   * established, gets the SYN-ACK again until there is room. `tcp_abort_on_overflow`.
   */
  abortOnOverflow: boolean;
  /** Connections that peers open answer with the traffic class of their SYN, but for ECN. `tcp_reflect_tos`. */
  reflectTrafficClass: boolean;
  /** Congestion control of new connections. `tcp_congestion_control`. */
  congestion: CongestionName;
}

/** What holds unless something else is set. */
export const DEFAULT_TCP_SETTINGS: Readonly<TcpSettings> = {
  sack: true,
  duplicateSack: true,
  timestamps: true,
  windowScaling: true,
  tailLossProbe: true,
  slowStartAfterIdle: true,
  retransmitCollapse: true,
  reordering: 3,
  initialWindow: INITIAL_WINDOW,
  synRetries: 6,
  synLinearTimeouts: 4,
  synAckRetries: 5,
  dataRetries: 15,
  orphanRetries: 8,
  orphans: 65536,
  finTimeout: 60_000_000,
  keepAliveTime: 7200_000_000,
  keepAliveInterval: 75_000_000,
  keepAliveProbes: 9,
  ecn: 2,
  ecnOption: 2,
  receiveMaximum: 16 << 20,
  receiveDefault: 131072,
  receiveAutoTuning: true,
  sendDefault: 1 << 20,
  sendMaximum: 8 << 20,
  invalidInterval: 500_000,
  leastSuperSegments: 2,
  pacing: false,
  fastOpen: FAST_OPEN_CLIENT | FAST_OPEN_SERVER,
  fastOpenBlackHole: 0,
  mtuProbing: 1,
  baseMss: 1024,
  mtuProbeFloor: 48,
  mtuProbeThreshold: 8,
  mtuProbeInterval: 600_000_000,
  leastSendMss: 48,
  softRetries: 3,
  thinLinearTimeouts: false,
  forwardRto: true,
  synCookies: 1,
  compressedSacks: 44,
  compressedSackDelay: 1000,
  ecnFallback: true,
  abortOnOverflow: false,
  reflectTrafficClass: false,
  congestion: "cubic",
};

/** Makes a congestion control by its name. @param random Gives 32-bit words. */
export function makeCongestion(name: CongestionName, random: () => number): Congestion {
  return name === "bbr" ? new Bbr(random) : name === "reno" ? new NewReno() : new Cubic();
}
