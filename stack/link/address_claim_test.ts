import assert from "node:assert/strict";
import { Cidr, IpAddress } from "../ip/address.ts";
import { arpFrame } from "../testing/frames.ts";
import { Host } from "../testing/pair.ts";
import { type AddressClaim, type ClaimHandler, ClaimState } from "./address_claim.ts";

const SECOND = 1_000_000;
const WANTED = IpAddress.parse("169.254.7.7");

class Wish implements ClaimHandler {
  readonly host = new Host(1, "");
  readonly heard: string[] = [];
  readonly claim: AddressClaim;
  now = 0;

  constructor() {
    this.claim = this.host.interface.arp.claim(WANTED, this);
  }

  claimed(): void {
    this.heard.push("claimed");
    this.host.interface.addAddress(new Cidr(WANTED, 16));
  }

  conflict(): void {
    this.heard.push("conflict");
    this.host.interface.removeAddress(WANTED);
  }

  /** Lets time pass. @returns Senders of the ARP requests that were sent, with their times in ms. */
  pass(micros: number): string[] {
    const end = this.now + micros;
    const sent: string[] = [];
    for (;;) {
      const next = this.host.stack.poll(this.now);
      for (const { bytes } of this.host.device.take()) {
        const view = new DataView(bytes.buffer);
        if (view.getUint16(12) !== 0x0806) continue;
        assert.ok(IpAddress.read(4, view, 38).equals(WANTED));
        sent.push(`${IpAddress.read(4, view, 28)}`);
      }
      if (next > end) break;
      this.now = Math.max(next, this.now + 1);
    }
    this.now = end;
    this.host.stack.advance(end);
    return sent;
  }

  hear(...args: Parameters<typeof arpFrame>): void {
    this.host.device.deliver(this.host.interface, arpFrame(...args));
  }
}

Deno.test("AddressClaim asks three times, then has the interface announce the address twice", () => {
  const wish = new Wish();
  assert.deepEqual(wish.pass(4 * SECOND - 1), ["0.0.0.0", "0.0.0.0", "0.0.0.0"]);
  assert.deepEqual(wish.heard, []);
  assert.deepEqual(wish.pass(3 * SECOND + 1), [`${WANTED}`]);
  assert.deepEqual(wish.heard, ["claimed"]);
  assert.deepEqual(wish.pass(10 * SECOND), [`${WANTED}`]);
  assert.equal(wish.claim.state, ClaimState.Held);
});

for (
  const [what, frame] of [
    ["somebody who has the address", arpFrame(2, 9, "169.254.7.7", 1, "0.0.0.0")],
    ["somebody who talks from it to others", arpFrame(1, 9, "169.254.7.7", 0, "169.254.1.1")],
    ["somebody who asks for it at the same time", arpFrame(1, 9, "0.0.0.0", 0, "169.254.7.7")],
  ] as const
) {
  Deno.test(`AddressClaim gives way to ${what} while it asks`, () => {
    const wish = new Wish();
    wish.pass(SECOND);
    wish.host.device.deliver(wish.host.interface, frame);
    assert.deepEqual(wish.heard, ["conflict"]);
    assert.equal(wish.claim.state, ClaimState.Over);
    assert.deepEqual(wish.pass(60 * SECOND), []);
  });
}

Deno.test("AddressClaim is not disturbed by its own frames, nor by who asks for the address", () => {
  const wish = new Wish();
  wish.pass(SECOND);
  wish.hear(1, 1, "0.0.0.0", 0, "169.254.7.7");
  wish.hear(1, 9, "169.254.1.1", 0, "169.254.7.7");
  assert.deepEqual(wish.heard, []);
  wish.pass(7 * SECOND);
  wish.hear(1, 9, "0.0.0.0", 0, "169.254.7.7");
  assert.deepEqual(wish.heard, ["claimed"]);
});

Deno.test("AddressClaim defends the address once in 10 seconds, and gives it up to who insists", () => {
  const wish = new Wish();
  wish.pass(20 * SECOND);
  for (let i = 0; i < 3; i++) {
    wish.hear(1, 9, "169.254.7.7", 0, "169.254.7.7");
    assert.deepEqual(wish.pass(10 * SECOND), [`${WANTED}`]);
  }
  wish.hear(1, 9, "169.254.7.7", 0, "169.254.7.7");
  wish.pass(9 * SECOND);
  wish.hear(1, 9, "169.254.7.7", 0, "169.254.7.7");
  assert.deepEqual(wish.heard, ["claimed", "conflict"]);
  assert.equal(wish.host.interface.addresses.length, 0);
  assert.equal(wish.claim.state, ClaimState.Over);
});

Deno.test("AddressClaim that is let go asks no more", () => {
  const wish = new Wish();
  wish.claim.end();
  assert.deepEqual(wish.pass(20 * SECOND), []);
  assert.deepEqual(wish.heard, []);
});
