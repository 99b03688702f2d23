/**
 * What an application sees: a host on the network, its connections, listeners, datagrams and HTTP.
 *
 * @module
 */

export { type TcpAddr, TcpConn, type TcpConnectOptions } from "./conn.ts";
export type { Clock } from "./clock.ts";
export type { Counters } from "./counters.ts";
export {
  DatagramConn,
  type DatagramConnectOptions,
  type DatagramNetwork,
  type DatagramOptions,
  type DatagramPeer,
  type DatagramSendOptions,
  type DatagramSettings,
} from "./datagram.ts";
export { type Datagram, DatagramInfo, type UdpAddr } from "./datagram_queue.ts";
export type { HostAddress } from "./dns/destinations.ts";
export { DnsCounters, DnsDrops } from "./dns/counters.ts";
export type { Flaw } from "./dns/message_check.ts";
export type { Hosts } from "./dns/hosts.ts";
export type { Outcome, OutcomeKind } from "./dns/outcome.ts";
export type {
  CaaData,
  DnsRecord,
  MxData,
  NaptrData,
  NsecData,
  RecordData,
  SoaData,
  SrvData,
} from "./dns/records.ts";
export type { CaaRecord, DnsResults, DnsType, ResolveDnsOptions } from "./dns/resolve_dns.ts";
export { type DnsConfiguration, type DnsOptions, type LinkResolver, Resolver } from "./dns/resolver.ts";
export type { RouteSpec } from "./route_spec.ts";
export { Configuration, type ConfigureOptions } from "./configuration.ts";
export type { NetworkOptions } from "./network_options.ts";
export { toDenoError } from "./errors.ts";
export { TcpListener, type TcpListenOptions } from "./listener.ts";
export { MulticastMembership, type MulticastOptions } from "./multicast.ts";
export type { InterfaceSpec, VlanSpec } from "./interface_spec.ts";
export { Network } from "./network.ts";
export { Browser } from "./mdns/browser.ts";
export { MdnsCounters, MdnsDrops } from "./mdns/counters.ts";
export { Mdns } from "./mdns/mdns.ts";
export { Advertisement, type AdvertiseOptions, type Service, type ServiceEvent } from "./mdns/service.ts";
export { NodeListener } from "./node_server.ts";
export { type StreamCallback, TcpDuplex, type TcpDuplexOptions } from "./node_stream.ts";
export { RawConn, type RawListenOptions, type RawPacket } from "./raw.ts";
export type { Hop, ProbeReply, TracerouteOptions } from "./traceroute.ts";
export type { PingOptions, PingResult } from "./ping.ts";
export {
  HttpServer,
  type ServeHandler,
  type ServeInfo,
  type ServeLimits,
  type ServeOptions,
} from "./serve.ts";
