/**
 * What the resolver counts.
 *
 * @module
 */

import type { Flaw } from "./message_check.ts";

/** Messages that were dropped, by their reason; the first are those that can't be taken apart. */
export class DnsDrops implements Record<Flaw, number> {
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
  /** From another address or port than was asked. */
  wrongSource = 0;
  /** With another ID than was asked. */
  wrongId = 0;
  /** Not an answer. */
  notResponse = 0;
  /** To another question. */
  wrongQuestion = 0;
  /** To the question in other letters: a server that changes them, or somebody who has guessed the rest. */
  wrongCase = 0;
  /** Larger than was allowed. */
  oversized = 0;
}

/** What the resolver did. */
export class DnsCounters {
  /** Questions of applications. */
  lookups = 0;
  /** Answered from what was remembered. */
  cacheHits = 0;
  /** Joined a question that was under way. */
  coalesced = 0;
  /** Datagrams sent. */
  queries = 0;
  /** Questions sent over TCP. */
  tcpQueries = 0;
  /** TCP connections opened. */
  tcpConnections = 0;
  /** Answers that were taken. */
  responses = 0;
  /** Datagrams that nobody answered in time. */
  timeouts = 0;
  /** Servers that said they could not answer. */
  serverFailures = 0;
  /** Answers that referred elsewhere instead of answering. */
  lame = 0;
  /** Chains of aliases that went on for too long. */
  aliasLoops = 0;
  /** Questions refused because too many were under way. */
  refused = 0;
  /** Entries forgotten because the cache was full. */
  evicted = 0;
  /** Dropped. */
  readonly dropped: DnsDrops = new DnsDrops();
}
