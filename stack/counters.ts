/**
 * What the layers below TCP count. Every packet that enters a layer is either delivered (handed on) or dropped
 * for exactly one reason: `received` = `delivered` + the sum of `dropped`.
 *
 * @module
 */

/** Why an interface dropped a frame that came in. */
export class LinkDrops {
  /** Shorter than a link header, or empty. */
  truncated = 0;
  /** The source is a group address. */
  badSource = 0;
  /** For another station, and no tap took it. */
  otherStation = 0;
  /** An IP packet to a group of the link that nobody has joined. */
  otherGroup = 0;
  /** An IEEE 802.3 length instead of an ethertype; {@link LinkCounters.llc} tells of what. */
  notEthernet2 = 0;
  /** An IEEE 802.3 length that is more than there is, or less than a header. */
  badLength = 0;
  /** Nobody is attached to its ethertype, or it is of no IP version that is spoken. */
  unknownEthertype = 0;
}

/** What the frames with an IEEE 802.3 length were. */
export class LlcCounters {
  /** Spanning tree (IEEE 802.1D): a switch is there. */
  spanningTree = 0;
  /** SNAP (RFC 1042): an ethertype in another wrapping. */
  snap = 0;
  /** IPX without a header. */
  rawIpx = 0;
  /** All others. */
  other = 0;
}

/** Why a frame with a VLAN tag was dropped. */
export class VlanDrops {
  /** Shorter than its tag. */
  truncated = 0;
  /** A reserved identifier, or a tag within a priority tag. */
  malformed = 0;
  /** There is no interface of this VLAN. */
  unknownVlan = 0;
}

/** Counters of the VLANs on one interface. */
export class VlanCounters {
  /** Frames with a tag. */
  received = 0;
  /** Frames handed to a VLAN, or without the tag to the interface itself. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: VlanDrops = new VlanDrops();
  /** Frames whose tag has a priority and no VLAN. */
  priorityTagged = 0;
}

/** Counters of one interface. */
export class LinkCounters {
  /** Frames from the device. */
  received = 0;
  /** Frames handed to a layer or taken by a tap. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: LinkDrops = new LinkDrops();
  /** What the frames were that have a length for an ethertype. */
  readonly llc: LlcCounters = new LlcCounters();
  /** Frames given to the device; a super-frame that is cut here counts each part. */
  sent = 0;
  /** Frames that the device refused, or that are none of IP where there is no link header. */
  sendRefused = 0;
  /** Frames that an outgoing tap took. */
  sendTaken = 0;
  /** Super-frames cut into frames here. */
  segmented = 0;
  /** Frames of a super-frame that were lost because no slot was free. */
  segmentExhausted = 0;
  /** Super-frames that could not be cut because they are malformed. */
  segmentMalformed = 0;
  /** Checksums completed here. */
  checksummed = 0;
}

/** Why ARP dropped a message. */
export class ArpDrops {
  /** Shorter than the message. */
  truncated = 0;
  /** Not about IPv4 over Ethernet. */
  unsupported = 0;
  /** The sender's link address is a group or zero address. */
  badSender = 0;
  /** The sender claims one of our addresses. */
  conflict = 0;
  /** Neither for us nor from somebody we know. */
  unsolicited = 0;
}

/** Counters of address resolution on one interface, for both IP versions. */
export class NeighbourCounters {
  /** Messages. */
  received = 0;
  /** Messages that were used. */
  delivered = 0;
  /** Questions about our addresses that were answered. */
  answered = 0;
  /** Questions sent, probes and announcements included. */
  requested = 0;
  /** Neighbours that did not answer. */
  failed = 0;
  /** Entries thrown out because the table was full. */
  evicted = 0;
  /** Packets that made room for newer ones in the queue of a neighbour that is being resolved. */
  queueOverflow = 0;
  /** Packets dropped because the neighbour did not answer. */
  unreachable = 0;
}

/** Counters of ARP on one interface. */
export class ArpCounters extends NeighbourCounters {
  /** Reasons for the messages that were not used. */
  readonly dropped: ArpDrops = new ArpDrops();
}

/** Why neighbour discovery dropped a message. */
export class NdDrops {
  /** Shorter than the message. */
  truncated = 0;
  /** The hop limit is not 255: it may come from off the link. */
  badHopLimit = 0;
  /** The code is not 0, or an option has no length or runs over the end. */
  malformed = 0;
  /** A source, destination or target that the message does not allow. */
  badAddress = 0;
  /** About an address that is not ours, or of a neighbour that we do not know. */
  notForUs = 0;
  /** Our own probe came back. */
  looped = 0;
  /** Somebody else claims an address that is ours for sure. */
  conflict = 0;
  /** A router's message on an interface that does not listen to routers, or a message for routers. */
  ignored = 0;
}

/** Counters of neighbour discovery on one interface. */
export class NdCounters extends NeighbourCounters {
  /** Reasons for the messages that were not used. */
  readonly dropped: NdDrops = new NdDrops();
  /** Addresses that turned out to be somebody else's. */
  duplicates = 0;
  /** Routers, prefixes, routes, addresses and names that were not taken because there were as many as allowed. */
  refused = 0;
}

/** Why IPv4 dropped a packet that came in. */
export class Ipv4Drops {
  /** Shorter than a header. */
  truncated = 0;
  /** The version is not 4. */
  badVersion = 0;
  /** The header length is less than 20 or more than there is. */
  badHeaderLength = 0;
  /** The total length is less than the header or more than there is. */
  badTotalLength = 0;
  /** The header checksum is wrong. */
  badChecksum = 0;
  /** The source is a multicast, broadcast or reserved address, or 0.0.0.0 in a unicast packet. */
  badSource = 0;
  /** The source is one of our own addresses. */
  ownSource = 0;
  /** Source and destination are the same address of ours (the "land" attack). */
  land = 0;
  /** A loopback address came from a network, or a packet is to 0.0.0.0/8. */
  martian = 0;
  /** A unicast address in a link broadcast or multicast (RFC 1122, section 3.3.6). */
  unicastInGroup = 0;
  /** No route leads back to the source, or not by the interface that it came in on: see `Interface.reversePath`. */
  reversePath = 0;
  /** An option that is malformed. The sender is told. */
  badOption = 0;
  /** A source route (RFC 7126, section 4.3). */
  sourceRoute = 0;
  /** Not for us, and nobody forwards. */
  notForUs = 0;
  /** A fragment, and nobody reassembles. */
  fragment = 0;
  /** Nobody is attached to its protocol. */
  unknownProtocol = 0;
}

/** What the layers of both IP versions count. */
export class IpCounters {
  /** Packets from the links, and once more those that were put together from fragments. */
  received = 0;
  /** Packets handed to a protocol, a reassembler or forwarder, or taken by a tap. */
  delivered = 0;
  /** Packets handed to a link or its queues. */
  sent = 0;
  /** Packets without a route when they were to be sent. */
  sendNoRoute = 0;
  /** Packets that are longer than a packet can be, or larger than the path's MTU and not to be cut. */
  sendTooBig = 0;
  /** Packets that were cut into fragments; each fragment counts as sent. */
  sendFragmented = 0;
  /** Packets that an outgoing tap took. */
  sendTaken = 0;
  /** Copies of packets to groups that our own listeners did not get, for want of a slot of the loopback device. */
  loopFailed = 0;
}

/** Counters of IPv4. */
export class Ipv4Counters extends IpCounters {
  /** Reasons for the packets that were not delivered. */
  readonly dropped: Ipv4Drops = new Ipv4Drops();
}

/** Why IPv6 dropped a packet that came in. */
export class Ipv6Drops {
  /** Shorter than a header. */
  truncated = 0;
  /** The version is not 6. */
  badVersion = 0;
  /** The payload length is more than there is. */
  badLength = 0;
  /** The source is a multicast address, or :: in a packet to one host. */
  badSource = 0;
  /** The source is one of our own addresses. */
  ownSource = 0;
  /** A loopback or IPv4-mapped address came from a network. */
  martian = 0;
  /** A multicast address of a scope that does not cross a link, or of none. */
  badDestination = 0;
  /** To an address of ours that is not to be used yet, or that somebody else has. */
  tentative = 0;
  /** A unicast address in a link multicast. */
  unicastInGroup = 0;
  /** No route leads back to the source, or not by the interface that it came in on: see `Interface.reversePath`. */
  reversePath = 0;
  /** Not for us, and nobody forwards. */
  notForUs = 0;
  /** An extension header that is cut short, or a hop-by-hop header that is not the first. */
  badExtension = 0;
  /** More extension headers than a packet has any use for. */
  tooManyExtensions = 0;
  /** A malformed option, or an unknown one that forbids to go on. */
  badOption = 0;
  /** A routing header that wants the packet sent on (RFC 5095). */
  routing = 0;
  /** A fragment, and nobody reassembles. */
  fragment = 0;
  /** Nobody is attached to its protocol. */
  unknownProtocol = 0;
}

/** Counters of IPv6. */
export class Ipv6Counters extends IpCounters {
  /** Reasons for the packets that were not delivered. */
  readonly dropped: Ipv6Drops = new Ipv6Drops();
}

/** Why a fragment was dropped. */
export class ReassemblyDrops {
  /** Without payload, or not the last one and its length is not a multiple of 8. */
  badLength = 0;
  /** Its end lies beyond the longest packet. */
  tooLong = 0;
  /** It was there already. */
  duplicate = 0;
  /** It overlaps with others, or says another length, or there are too many gaps. */
  contradiction = 0;
  /** No slot to put the packet together in. */
  exhausted = 0;
}

/** Counters of putting fragments together, for both IP versions. */
export class ReassemblyCounters {
  /** Fragments. */
  received = 0;
  /** Fragments that were kept. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: ReassemblyDrops = new ReassemblyDrops();
  /** Packets that were put together. */
  whole = 0;
  /** Packets given up because fragments were missing for too long. */
  timedOut = 0;
  /** Packets given up because newer ones needed the room. */
  evicted = 0;
}

/** Why ICMP dropped a message. */
export class IcmpDrops {
  /** Shorter than a header, or than the packet an error must quote. */
  truncated = 0;
  /** The checksum is wrong. */
  badChecksum = 0;
  /** An echo request to a group address, over IPv4 (RFC 1122, section 3.2.2.6). */
  broadcastEcho = 0;
  /** An echo reply that nobody waits for. */
  unexpectedReply = 0;
  /** An error about a packet that we can't have sent. */
  badQuote = 0;
  /** A type that is not handled. */
  unknownType = 0;
  /** No slot to answer in, or the device refused. */
  answerFailed = 0;
}

/** Counters of ICMP. */
export class IcmpCounters {
  /** Messages received. */
  received = 0;
  /** Messages answered or handed on. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: IcmpDrops = new IcmpDrops();
  /** Echo requests answered. */
  echoed = 0;
  /** Errors sent. */
  errorsSent = 0;
  /** Errors not sent because of the rate limit. */
  errorsLimited = 0;
  /** Errors not sent because RFC 1122, section 3.2.2, or RFC 4443, section 2.4, forbids them. */
  errorsForbidden = 0;
  /** Errors not sent for want of a route or a slot. */
  errorsFailed = 0;
}

/** Counters of telling routers what one interface listens to: IGMP or MLD. */
export class MembershipCounters {
  /** Queries that were, or will be, answered if they concern us. */
  queries = 0;
  /** Reports sent. */
  reports = 0;
  /** Groups whose end was told in the way of older versions. */
  leaves = 0;
  /** Reports of older versions not sent because somebody else has reported the group. */
  suppressed = 0;
}

/** Why IGMP dropped a message. */
export class IgmpDrops {
  /** Shorter than a header. */
  truncated = 0;
  /** The checksum is wrong. */
  badChecksum = 0;
  /** The time to live is not 1: it may come from off the link. */
  badTimeToLive = 0;
  /** To one address of ours, from one that is of no network of the interface. */
  offLink = 0;
  /** A query about no group, or shorter than its sources. */
  malformed = 0;
  /** Not for hosts: reports of version 3, leaves, and whatever else. */
  unknownType = 0;
}

/** Counters of IGMP. */
export class IgmpCounters {
  /** Messages. */
  received = 0;
  /** Messages that were used. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: IgmpDrops = new IgmpDrops();
}

/** Why UDP dropped a datagram. */
export class UdpDrops {
  /** Shorter than a header. */
  truncated = 0;
  /** The length field is less than a header or more than there is. */
  badLength = 0;
  /** The checksum is wrong. */
  badChecksum = 0;
  /** The destination port is 0. */
  portZero = 0;
  /** Nobody is bound to the port. */
  noListener = 0;
}

/** Counters of UDP. */
export class UdpCounters {
  /** Datagrams from IP; a super-datagram counts once. */
  received = 0;
  /** Datagrams handed to a socket or taken by a tap. */
  delivered = 0;
  /** Reasons for the others. */
  readonly dropped: UdpDrops = new UdpDrops();
  /** Datagrams handed to IP. */
  sent = 0;
  /** Datagrams not sent: no route, no slot, too long for it, or refused. */
  sendFailed = 0;
  /** Datagrams that a socket's queue had no room for. */
  queueFull = 0;
  /** Exceptions thrown by handlers. */
  handlerErrors = 0;
}

/** Counters of one UDP socket. */
export class UdpSocketCounters {
  /** Datagrams handed to its handler. */
  received = 0;
  /** Payload bytes of {@link received}. */
  receivedBytes = 0;
  /** Datagrams handed to IP; a super-datagram counts once. */
  sent = 0;
  /** Payload bytes of {@link sent}. */
  sentBytes = 0;
  /** Datagrams not sent. */
  sendFailed = 0;
  /** Datagrams that its queue had no room for. */
  queueFull = 0;
  /** Payload bytes of {@link queueFull}. */
  queueFullBytes = 0;
  /** ICMP errors about what it has sent. */
  errors = 0;
}
