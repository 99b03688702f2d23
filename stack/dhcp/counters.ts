/**
 * What the DHCP clients count.
 *
 * @module
 */

/** Why a message of a server was dropped. */
export class DhcpDrops {
  /** The UDP checksum is wrong, or the length is. */
  badDatagram = 0;
  /** It is none, or lies about its lengths. */
  malformed = 0;
  /** Not a kind that is waited for, or not from the server that was chosen. */
  unexpected = 0;
  /** It gives nothing that can be used: an address that is no host's, a lease of no time. */
  useless = 0;
}

/** Counters of one DHCP client, for either IP version. */
export class DhcpCounters {
  /** Messages for this client and the transaction that is under way. */
  received = 0;
  /** Messages that were used. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: DhcpDrops = new DhcpDrops();
  /** Options that make no sense and were left out of messages that were used. */
  badOptions = 0;
  /** Messages sent. */
  sent = 0;
  /** Messages not sent: no slot, no route. */
  sendFailed = 0;
  /** Leases obtained, renewals included. */
  acknowledged = 0;
  /** Leases that a server has refused. */
  refused = 0;
  /** Addresses that turned out to be somebody else's. */
  declined = 0;
  /** Leases that ended because nobody renewed them. */
  expired = 0;
}
