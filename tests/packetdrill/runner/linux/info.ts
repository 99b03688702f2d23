/**
 * struct tcp_info as the kernel lays it out (linux/tcp.h).
 *
 * @module
 */

const BYTES = ["state", "ca_state", "retransmits", "probes", "backoff", "options"];
const WORDS = [
  "rto",
  "ato",
  "snd_mss",
  "rcv_mss",
  "unacked",
  "sacked",
  "lost",
  "retrans",
  "fackets",
  "last_data_sent",
  "last_ack_sent",
  "last_data_recv",
  "last_ack_recv",
  "pmtu",
  "rcv_ssthresh",
  "rtt",
  "rttvar",
  "snd_ssthresh",
  "snd_cwnd",
  "advmss",
  "reordering",
  "rcv_rtt",
  "rcv_space",
  "total_retrans",
];
/** Name and bytes of each of the rest. */
const REST: [string, 2 | 4 | 8][] = [
  ["pacing_rate", 8],
  ["max_pacing_rate", 8],
  ["bytes_acked", 8],
  ["bytes_received", 8],
  ["segs_out", 4],
  ["segs_in", 4],
  ["notsent_bytes", 4],
  ["min_rtt", 4],
  ["data_segs_in", 4],
  ["data_segs_out", 4],
  ["delivery_rate", 8],
  ["busy_time", 8],
  ["rwnd_limited", 8],
  ["sndbuf_limited", 8],
  ["delivered", 4],
  ["delivered_ce", 4],
  ["bytes_sent", 8],
  ["bytes_retrans", 8],
  ["dsack_dups", 4],
  ["reord_seen", 4],
  ["rcv_ooopack", 4],
  ["snd_wnd", 4],
  ["rcv_wnd", 4],
  ["rehash", 4],
  ["total_rto", 2],
  ["total_rto_recoveries", 2],
  ["total_rto_time", 4],
  ["received_ce", 4],
  ["delivered_e1_bytes", 4],
  ["delivered_e0_bytes", 4],
  ["delivered_ce_bytes", 4],
  ["received_e1_bytes", 4],
  ["received_e0_bytes", 4],
  ["received_ce_bytes", 4],
];

/** Bytes to ask for. */
export const TCP_INFO_SIZE = 512;

/** The fields by name, without their prefix. @param length Bytes that the kernel gave. */
export function decodeInfo(view: DataView, at: number, length: number): Record<string, number> {
  const info: Record<string, number> = {};
  for (const [i, name] of BYTES.entries()) info[name] = view.getUint8(at + i);
  const scales = view.getUint8(at + 6);
  info.snd_wscale = scales & 15;
  info.rcv_wscale = scales >> 4;
  info.delivery_rate_app_limited = view.getUint8(at + 7) & 1;
  info.fastopen_client_fail = view.getUint8(at + 7) >> 1 & 3;
  let offset = 8;
  for (const name of WORDS) {
    info[name] = view.getUint32(at + offset, true);
    offset += 4;
  }
  for (const [name, size] of REST) {
    if (offset + size > length) break;
    info[name] = size === 8
      ? Number(view.getBigUint64(at + offset, true))
      : size === 4
      ? view.getUint32(at + offset, true)
      : view.getUint16(at + offset, true);
    offset += size;
  }
  return info;
}
