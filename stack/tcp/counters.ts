/**
 * What the TCP layer counts, and each drop by its reason.
 *
 * @module
 */

/** What the TCP layer counts. */
export class TcpCounters {
  /** Segments from IP. */
  receivedSegments = 0;
  /** Segments handed to IP; a super-segment counts once. */
  sentSegments = 0;
  /** Connections that `connect` started. */
  activeOpens = 0;
  /** Connections that a SYN started. */
  passiveOpens = 0;
  /** Connections that ended by a reset. */
  establishedResets = 0;
  /** Segments sent again. */
  retransmittedSegments = 0;
  /** Times the retransmission timer expired. */
  retransmissionTimeouts = 0;
  /** Times recovery began before the timer did. */
  fastRecoveries = 0;
  /** Recoveries that turned out to be needless, and were undone. */
  spuriousRecoveries = 0;
  /** Segments held for lost. */
  lostSegments = 0;
  /** Tail loss probes sent (RFC 8985, section 7). */
  tailLossProbes = 0;
  /** Time-outs after which a path was held for one that drops large packets without a word. */
  mtuBlackHoles = 0;
  /** Larger segments sent to find out whether they get through (RFC 4821). */
  mtuProbes = 0;
  /** Of these, those that did. */
  mtuProbesDelivered = 0;
  /** Of these, those that did not. */
  mtuProbesLost = 0;
  /** Resets that came. */
  receivedResets = 0;
  /** Segments marked by a router (RFC 3168). */
  receivedMarks = 0;
  /** Connections on which something rewrites the bits of congestion notification, or their options (RFC 9768). */
  mangledEcn = 0;
  /** Windows reduced because the peer echoed a mark. */
  markReductions = 0;
  /** Resets sent. */
  sentResets = 0;
  /** Segments that came out of order. */
  outOfOrder = 0;
  /** Acknowledgements that waited for the timer. */
  delayedAcks = 0;
  /** Probes of a closed window. */
  windowProbes = 0;
  /** Probes of an idle peer. */
  keepAliveProbes = 0;
  /** Challenge ACKs sent (RFC 5961). */
  challengeAcks = 0;
  /** Challenge ACKs not sent because of their limit. */
  challengeAcksLimited = 0;
  /** Duplicates that the peer has reported (RFC 2883). */
  receivedDuplicateSacks = 0;
  /** Connections given up because the peer was silent. */
  timedOut = 0;
  /** Exceptions thrown by handlers. */
  handlerErrors = 0;
  /** Drops: the header is longer than the packet, or shorter than 20 bytes. */
  badHeader = 0;
  /** Drops: wrong checksum. */
  badChecksum = 0;
  /** Drops: a port is 0. */
  badPort = 0;
  /** Drops: not addressed to this host alone. */
  notUnicast = 0;
  /** Options that lie about their length; what stood before them counts. */
  badOptions = 0;
  /** Drops: SYNs for which there was no room, where cookies are not wanted. */
  halfOpenFull = 0;
  /** Drops: packets that have come further than their connection's or listener's peers may be away (RFC 5082). */
  tooFar = 0;
  /** Drops: segments that are signed (RFC 2385), for which there is no key. */
  unexpectedSignatures = 0;
  /** Drops: segments that are not signed, for which there is a key. */
  missingSignatures = 0;
  /** Drops: segments that are signed with another key, or were changed on the way. */
  badSignatures = 0;
  /** Drops: a SYN with FIN for a listener, which nobody honest sends. */
  synWithFin = 0;
  /** Drops: no connection and no listener; answered with RST. */
  noConnection = 0;
  /** Drops: an ACK of what was never sent, or far too old. */
  badAcks = 0;
  /** Drops: RST with a number that does not reset (RFC 5961). */
  badResets = 0;
  /** Drops: SYN on a synchronised connection (RFC 5961). */
  unexpectedSyns = 0;
  /** Drops: a segment without ACK where one is required. */
  missingAck = 0;
  /** Drops: an old timestamp (RFC 7323). */
  pawsRejected = 0;
  /** Segments wholly or partly outside of the window. */
  outOfWindow = 0;
  /** SACK blocks that say what cannot be. */
  badSackBlocks = 0;
  /** Drops: data for which its host has no memory (`ReceiveMemory`). */
  outOfMemory = 0;
  /** Drops: too many out-of-order ranges. */
  reassemblyFull = 0;
  /** SYNs answered with a cookie, because a listener had too many handshakes under way. */
  sentCookies = 0;
  /** Connections established by a cookie. */
  acceptedCookies = 0;
  /** Drops: an ACK that looked like a cookie and was none of ours. */
  badCookies = 0;
  /** Drops: SYN or ACK while a listener's queue was full. */
  acceptQueueFull = 0;
  /** Drops: SYN at the limit of connections. */
  tooManyConnections = 0;
  /** Drops: SYN, or the ACK of a cookie, of a source that has as many connections as the listener lets it. */
  tooManyFromSource = 0;
  /** SYNs answered with a cookie because their source has too many handshakes under way. */
  halfOpenFromSource = 0;
  /** ACKs without data that did not complete a handshake, because the listener waits for data. */
  deferredAccepts = 0;
  /** Connections that were reset when their application closed them, because there were too many such. */
  tooManyOrphans = 0;
  /** Connections that were reset because what was written was not handed over within their linger time. */
  lingerTimeouts = 0;
  /** SYNs that had to wait, or were dropped, because every transmission record was in use. */
  noRecords = 0;
  /** Drops: no route back. */
  noRoute = 0;
  /** Connections that skipped TIME-WAIT because too many were in it. */
  timeWaitOverflow = 0;
  /** Connections whose SYN carried data that the server took (RFC 7413). */
  fastOpenActive = 0;
  /** Connections whose SYN carried data that had to be sent again. */
  fastOpenActiveFailed = 0;
  /** Connections handed to the application with the data of their SYN. */
  fastOpenPassive = 0;
  /** Of those, connections whose cookie was made with the key before the last. */
  fastOpenOldKey = 0;
  /** SYNs with a wrong cookie; an ordinary handshake follows. */
  fastOpenPassiveFailed = 0;
  /** SYNs that asked for a cookie. */
  fastOpenCookieRequests = 0;
  /** SYNs of Fast Open that got an ordinary handshake because a listener had too many of them under way. */
  fastOpenQueueFull = 0;
  /** Times our own Fast Open was switched off because time-outs told of a black hole on the way. */
  fastOpenBlackHoles = 0;
}
