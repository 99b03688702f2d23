/**
 * What the responder and resolver of the link count.
 *
 * @module
 */

import type { Flaw } from "../dns/message_check.ts";

/** Messages that were dropped, by their reason. */
export class MdnsDrops implements Record<Flaw, number> {
  /** Shorter than it says. */
  truncated = 0;
  /** A name's pointers lead forwards, or on and on. */
  compressionLoop = 0;
  /** A name that is too long, has control characters, or is not UTF-8. */
  badName = 0;
  /** A record whose data is not as long as its type says. */
  badLength = 0;
  /** More than 1024 records. */
  tooManyRecords = 0;
  /** Data that is none of its type. */
  badRecord = 0;
  /** Something behind the last record. */
  trailingBytes = 0;
  /** From a sender that is not on the link (RFC 6762, section 11). */
  offLink = 0;
  /** An answer from another port than 5353 (section 6). */
  wrongPort = 0;
  /** An answer to us alone that we had not asked for in the last two seconds (section 6). */
  unasked = 0;
  /** With an opcode or code other than 0 (sections 18.3 and 18.11). */
  wrongCode = 0;
}

/** What was done on all interfaces. */
export class MdnsCounters {
  /** Queries that came. */
  queries = 0;
  /** Answers that came. */
  responses = 0;
  /** Queries sent. */
  queriesSent = 0;
  /** Probes sent: queries whether a name is free. */
  probesSent = 0;
  /** Answers and announcements sent to the group. */
  responsesSent = 0;
  /** Answers sent to one host. */
  unicastSent = 0;
  /** Messages that did not leave: no address, no room. */
  sendFailed = 0;
  /** Answers that were not sent because they had been within the last second (section 6). */
  suppressedRecent = 0;
  /** Answers that were not sent because the asker knows them (section 7.1). */
  suppressedKnown = 0;
  /** Answers that were not sent because another host has given them (section 7.4). */
  suppressedDuplicate = 0;
  /** Queries that were not sent because another host has asked the same (section 7.3). */
  suppressedQueries = 0;
  /** Names of ours that another host had. */
  conflicts = 0;
  /** Answers to one host that were not sent because there were too many. */
  rateLimited = 0;
  /** Records that were not remembered because there were too many. */
  cacheFull = 0;
  /** Dropped. */
  readonly dropped: MdnsDrops = new MdnsDrops();
}
