/**
 * Delivery rate samples: how fast the network delivered what an ACK tells of, and whether it could have been faster
 * (draft-ietf-ccwg-bbr, section 4.1; Linux's tcp_rate.c).
 *
 * A sample spans from the send of the newest segment that the ACK delivers. Both sides of that flight are looked at,
 * the sending and the acknowledging one, and the slower counts: neither a burst of sends nor a burst of ACKs can make
 * the network look faster than it is.
 *
 * @module
 */

import type { RateSample } from "./congestion.ts";
import type { TcpConnection } from "./connection.ts";
import { APP_LIMITED, EVER_RETRANSMITTED } from "./sent.ts";
import { after } from "./sequence.ts";

/** Makes the samples. */
export class RateSampler implements RateSample {
  delivered = 0;
  interval = 0;
  priorDelivered = -1;
  priorDeliveredAt = 0;
  appLimited = false;
  sentInFlight = 0;
  lostSince = 0;
  acked = 0;
  losses = 0;
  rtt = -1;
  priorInFlight = 0;
  marked = false;
  #sentAt = -Infinity;
  #end = 0;
  #sendElapsed = 0;
  #lostThen = 0;

  get rate(): number {
    return this.interval > 0 ? this.delivered * 1e6 / this.interval : 0;
  }

  /** Begins an ACK. @param marked Whether it echoes a congestion mark. */
  begin(c: TcpConnection, marked: boolean): void {
    this.delivered =
      this.interval =
      this.acked =
      this.losses =
      this.sentInFlight =
      this.lostSince =
        0;
    this.priorDelivered = this.rtt = -1;
    this.appLimited = false;
    this.priorInFlight = c.inFlight;
    this.marked = marked;
    this.#sentAt = -Infinity;
  }

  /** Takes a record that was just delivered, `c.delivered` counting it already. */
  take(c: TcpConnection, r: number, now: number): void {
    const records = c.tcp.records;
    c.deliveredAt = now;
    const sentAt = records.sentAt[r]!;
    const end = records.end[r]!;
    // Only the newest counts; of several sent at once, the one sent last.
    if (sentAt < this.#sentAt || (sentAt === this.#sentAt && !after(end, this.#end))) return;
    this.#sentAt = sentAt;
    this.#end = end;
    this.priorDelivered = records.delivered[r]!;
    this.priorDeliveredAt = records.deliveredAt[r]!;
    this.appLimited = (records.flags[r]! & APP_LIMITED) !== 0;
    this.sentInFlight = records.inFlight[r]!;
    this.#lostThen = records.lost[r]!;
    this.#sendElapsed = sentAt - records.firstSentAt[r]!;
    if ((records.flags[r]! & EVER_RETRANSMITTED) === 0) this.rtt = now - sentAt;
    // The next sample's sending side begins where this one's ended.
    c.firstSentAt = sentAt;
  }

  /** Ends an ACK. @param acked Segments it delivered. @param losses Segments it showed to be lost. */
  end(c: TcpConnection, acked: number, losses: number, now: number): void {
    this.acked = acked;
    this.losses = losses;
    // The application's bubble has left the pipe.
    if (c.appLimitedUntil > 0 && c.delivered > c.appLimitedUntil) c.appLimitedUntil = 0;
    if (this.priorDelivered < 0) return;
    this.delivered = c.delivered - this.priorDelivered;
    this.lostSince = c.lost - this.#lostThen;
    const elapsed = now - this.priorDeliveredAt;
    const interval = elapsed > this.#sendElapsed ? elapsed : this.#sendElapsed;
    // Shorter than the shortest round trip: a retransmission whose first copy arrived, or squeezed ACKs.
    if (interval < c.minRtt || interval <= 0) return;
    this.interval = interval;
    // The greatest rate not limited by the application, and any above it.
    if (
      !this.appLimited || this.delivered * c.deliveryInterval >= c.deliverySegments * interval
    ) {
      c.deliverySegments = this.delivered;
      c.deliveryInterval = interval;
      c.deliveryAppLimited = this.appLimited;
    }
  }
}

/**
 * Notes with a record what had been delivered when it was sent.
 * @param fresh Sent for the first time: its segments are not counted as in flight yet.
 */
export function stampDelivery(c: TcpConnection, r: number, fresh: boolean, now: number): void {
  const records = c.tcp.records;
  if (c.packetsOut === 0) {
    // A flight begins: what was idle before does not count.
    c.firstSentAt = now;
    c.deliveredAt = now;
  }
  records.delivered[r] = c.delivered;
  records.deliveredAt[r] = c.deliveredAt;
  records.firstSentAt[r] = c.firstSentAt;
  records.lost[r] = c.lost;
  records.inFlight[r] = c.inFlight + (fresh ? records.segments[r]! : 0);
  if (c.appLimitedUntil > 0) records.flags[r]! |= APP_LIMITED;
  else records.flags[r]! &= ~APP_LIMITED;
}

/** Nothing is left to send while the network would take more: what is in flight now, and what follows, says less. */
export function markAppLimited(c: TcpConnection): void {
  c.appLimitedUntil = Math.max(c.delivered + c.inFlight, 1);
}
