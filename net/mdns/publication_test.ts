import assert from "node:assert/strict";
import { AddressOrigin } from "../../stack/ip/own_address.ts";
import { advertise, linkHost, passUntil, prefixOption } from "../../stack/testing/advertisement.ts";
import { HostPublication } from "./publication.ts";

Deno.test("HostPublication tells of addresses that are sure, and of no temporary ones", () => {
  const made = linkHost({}, { temporary: true });
  advertise(made, { options: prefixOption("2001:db8::", 86_400, 86_400) });
  const told = () =>
    new HostPublication("host").recordsFor(made.interface).map(({ record }) => record)
      .filter(({ type }) => type === "AAAA").map(({ data }) => data);
  assert.deepEqual(told(), ["fe80::ff:fe00:1"], "others may still object to the rest");
  passUntil(made, 10);
  assert.ok(made.interface.nd!.addresses.some(({ origin }) => origin === AddressOrigin.Temporary));
  assert.deepEqual(told(), ["fe80::ff:fe00:1", "2001:db8::ff:fe00:1"]);
});
