import assert from "node:assert/strict";
import { type Bytes, CHECKSUM_PARTIAL, type Packet } from "../packet.ts";
import { checksumsOk, icmpFrame, ipv4Frame, udpFrame } from "../testing/frames.ts";
import { checksumOkV6, icmpv6Frame, ipv6Frame, udpFrameV6 } from "../testing/frames_v6.ts";
import { Router } from "../testing/router.ts";
import { completeChecksum } from "../link/offload.ts";
import { sourcePortOf } from "../udp/socket.ts";
import { IpAddress } from "./address.ts";
import { Verdict } from "./forwarding.ts";
import { rewriteAddress, rewritePort } from "./rewrite.ts";

/** Lets a frame come in on the left, and `change` change it when it is forwarded. */
function through(frame: Bytes, change: (packet: Packet) => void, prepare?: (packet: Packet) => void) {
  const router = new Router();
  router.stack.forwarding.hook = { forward: (packet) => (change(packet), Verdict.Accept) };
  router.leftDevice.deliver(router.left, frame, prepare ?? null);
  const { bytes } = router.rightDevice.take()[0]!;
  assert.deepEqual(router.errors, []);
  return bytes;
}

const HOME = { source: "10.0.0.2", destination: "10.0.1.2", from: 10 };
const HOME6 = { source: "fd00::2", destination: "fd01::2", from: 10 };

Deno.test("rewriteAddress() and rewritePort() keep the checksums of every transport right", () => {
  const change = (packet: Packet) => {
    const address = IpAddress.parse(packet.version === 4 ? "203.0.113.77" : "2001:db8:77::77");
    assert.equal(rewriteAddress(packet, 0, address), true);
    assert.equal(rewritePort(packet, 0, 0xfff0), true);
  };
  const v4 = [udpFrame(1, 2, [1, 2, 3], HOME), icmpFrame(8, 0, 7 << 16, [1, 2], HOME)];
  for (const frame of v4) {
    const bytes = through(frame, change);
    assert.ok(checksumsOk(bytes));
    assert.deepEqual([...bytes.subarray(26, 30)], [203, 0, 113, 77]);
  }
  const v6 = [udpFrameV6(1, 2, [1, 2, 3], HOME6), icmpv6Frame(128, 0, [0, 7, 0, 0, 1, 2], HOME6)];
  for (const frame of v6) {
    const bytes = through(frame, change);
    assert.ok(checksumOkV6(bytes));
    assert.equal(String(IpAddress.read(6, new DataView(bytes.buffer), 22)), "2001:db8:77::77");
  }
});

Deno.test("rewriteAddress() leaves a datagram without checksum, and one that is still to be summed, as they are", () => {
  const address = IpAddress.parse("203.0.113.77");
  const bare = through(udpFrame(1, 2, [1], { ...HOME, checksum: 0 }), (packet) => {
    rewriteAddress(packet, 0, address);
    rewritePort(packet, 1, 99);
  });
  assert.deepEqual([...bare.subarray(36, 42)], [0, 99, 0, 9, 0, 0]);
  // 10.0.0.2 + 10.0.1.2 + 17 + 9, as a sender leaves it to its device.
  const partial = udpFrame(1, 2, [1], { ...HOME, checksum: 0x0a00 + 2 + 0x0a00 + 0x0102 + 17 + 9 });
  const bytes = through(partial, (packet) => {
    rewriteAddress(packet, 0, address);
    rewritePort(packet, 0, 77);
    packet.checksumStart = packet.transport;
    assert.ok(completeChecksum(packet));
  }, (packet) => {
    packet.flags = CHECKSUM_PARTIAL;
    packet.checksumStart = packet.offset + 34;
    packet.checksumOffset = 6;
  });
  assert.ok(checksumsOk(bytes));
});

Deno.test("rewritePort() refuses what has no ports, later fragments, and what is cut short", () => {
  const refused = (frame: Bytes) =>
    through(frame, (packet) => assert.equal(rewritePort(packet, 0, 9), false));
  refused(ipv4Frame(200, [1, 2, 3, 4, 5, 6, 7, 8, 9], HOME));
  refused(ipv4Frame(17, [1, 2, 3, 4, 5, 6, 7, 8, 9], { ...HOME, fragment: 100 }));
  refused(ipv4Frame(17, [1, 2, 3, 4], HOME));
  const hidden = ipv6Frame(17, [1, 2, 3, 4], {
    ...HOME6,
    extensions: { first: 60, bytes: [17, 0, 1, 4, 0, 0, 0, 0] },
  });
  through(hidden, (packet) => assert.equal(rewriteAddress(packet, 0, IpAddress.parse("fd00::9")), false));
});

Deno.test("A translator of addresses is a tap and a hook", () => {
  const router = new Router();
  const inside = IpAddress.parse("10.0.0.2"), outside = IpAddress.parse("10.0.1.1");
  router.stack.forwarding.hook = {
    forward(packet, output) {
      if (output === router.right) rewriteAddress(packet, 0, outside);
      return Verdict.Accept;
    },
  };
  router.stack.ipv4.tap("in", {
    receive(packet) {
      if (packet.interface === router.right && packet.protocol === 17 && sourcePortOf(packet) === 53) {
        rewriteAddress(packet, 1, inside);
      }
      return false;
    },
  });
  router.leftDevice.deliver(router.left, udpFrame(4000, 53, [1], HOME));
  const asked = router.rightDevice.take()[0]!.bytes;
  assert.equal(String(IpAddress.read(4, new DataView(asked.buffer), 26)), "10.0.1.1");
  const answer = udpFrame(53, 4000, [2], {
    source: "10.0.1.2",
    destination: "10.0.1.1",
    from: 11,
    to: [2, 0, 0, 0, 0, 2],
  });
  router.rightDevice.deliver(router.right, answer);
  const got = router.leftDevice.take()[0]!.bytes;
  assert.equal(String(IpAddress.read(4, new DataView(got.buffer), 30)), "10.0.0.2");
  assert.ok(checksumsOk(asked) && checksumsOk(got));
});
