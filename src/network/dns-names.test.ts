import assert from "node:assert/strict";
import { test } from "node:test";
import { parseReverseName, reverseName } from "./dns-names.ts";

test("addresses and the names that stand for them", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["172.18.0.2", "2.0.18.172.in-addr.arpa"],
    ["2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"],
    ["::1", `1.${"0.".repeat(31)}ip6.arpa`],
    ["::ffff:1.2.3.4", `4.0.3.0.2.0.1.0.f.f.f.f.${"0.".repeat(20)}ip6.arpa`],
  ];
  for (const [address, name] of cases) {
    assert.equal(reverseName(address), name);
    assert.equal(reverseName(parseReverseName(`${name.toUpperCase()}.`)!), name);
  }
  for (const name of ["web", "1.2.3.in-addr.arpa", "999.2.3.4.in-addr.arpa", "1.0.ip6.arpa", "in-addr.arpa"])
    assert.equal(parseReverseName(name), undefined, name);
  assert.throws(() => reverseName("web"), RangeError);
});
