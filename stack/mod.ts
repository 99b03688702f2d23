/**
 * The protocols: pure TypeScript, a function of what comes in, the time and the random numbers handed in.
 *
 * @module
 */

export * from "./configuration/ipv4.ts";
export * from "./configuration/ipv6.ts";
export * from "./counters.ts";
export * from "./device.ts";
export * from "./dhcp/client.ts";
export * from "./dhcpv6/client.ts";
export * from "./dhcpv6/options.ts";
export * from "./dhcp/counters.ts";
export type { DhcpOffer, DhcpRoute } from "./dhcp/message.ts";
export * from "./dhcp/options.ts";
export * from "./errors.ts";
export * from "./hash.ts";
export * from "./icmp/echo.ts";
export * from "./icmp/icmpv4.ts";
export * from "./icmp/icmpv6.ts";
export * from "./ip/address.ts";
export * from "./ip/forwarding.ts";
export * from "./ip/ip_path.ts";
export * from "./ip/ipv4.ts";
export * from "./ip/ipv4_options.ts";
export * from "./ip/ipv4_path.ts";
export * from "./ip/ipv6.ts";
export * from "./ip/ipv6_extensions.ts";
export * from "./ip/ipv6_path.ts";
export * from "./ip/layer.ts";
export * from "./ip/own_address.ts";
export * from "./ip/packet_headers.ts";
export * from "./ip/path.ts";
export * from "./ip/path_cache.ts";
export * from "./ip/prefix_trie.ts";
export * from "./ip/raw_socket.ts";
export * from "./ip/reassembly.ts";
export * from "./ip/redirects.ts";
export * from "./ip/rewrite.ts";
export * from "./ip/routes.ts";
export * from "./limits.ts";
export * from "./link/address_claim.ts";
export * from "./link/arp.ts";
export * from "./link/interface.ts";
export { LinkGroups } from "./link/link_groups.ts";
export * from "./link/link_local.ts";
export * from "./link/loopback.ts";
export * from "./link/neighbour.ts";
export * from "./link/neighbour_admission.ts";
export * from "./link/neighbour_state.ts";
export * from "./link/vlan.ts";
export * from "./igmp/igmp.ts";
export * from "./igmp/listener.ts";
export * from "./multicast/group_state.ts";
export * from "./multicast/groups.ts";
export * from "./multicast/reporter.ts";
export * from "./multicast/source_filter.ts";
export * from "./nd/advertisement.ts";
export * from "./nd/advertiser.ts";
export * from "./nd/discovery.ts";
export * from "./nd/duplicate_probe.ts";
export * from "./nd/identifier.ts";
export * from "./nd/multicast_listener.ts";
export * from "./nd/options.ts";
export * from "./nd/redirect.ts";
export * from "./nd/routers.ts";
export * from "./nd/temporary.ts";
export * from "./packet.ts";
export * from "./stack.ts";
export * from "./tcp/api.ts";
export * from "./tcp/bbr.ts";
export * from "./tcp/congestion.ts";
export * from "./tcp/cubic.ts";
export { FastOpen } from "./tcp/fast_open.ts";
export { ClientCookies, ServerCookies, type ServerMemory } from "./tcp/fast_open_cookies.ts";
export {
  INFO_ECN,
  INFO_ECN_SEEN,
  INFO_FAST_OPEN_CHILD,
  INFO_SACK,
  INFO_SYN_DATA,
  INFO_TIMESTAMPS,
  INFO_WINDOW_SCALE,
  type TcpInfo,
} from "./tcp/info.ts";
export * from "./tcp/settings.ts";
export {
  type RetransmissionReason,
  type TraceEvent,
  type TraceHandler,
  type TraceSegment,
} from "./tcp/trace.ts";
export { MAX_KEY, SignatureKeys } from "./tcp/signatures.ts";
export { type SourceLimits } from "./tcp/source_counts.ts";
export * from "./tcp/counters.ts";
export { Tcp, type TcpLimits } from "./tcp/tcp.ts";
export * from "./taps.ts";
export * from "./timer_wheel.ts";
export * from "./udp/datagram.ts";
export * from "./udp/socket.ts";
export * from "./udp/socket_groups.ts";
export * from "./udp/udp.ts";
