import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { NetworkAddresses } from "./network-addresses.ts";
import { rangeOf } from "./live-network.ts";
import { checkOverlap, choosePool4, choosePool6, localPools6 } from "./subnets.ts";
import { parsePrefix } from "./ip.ts";
import { cutPool, defaultPools, parseCidr } from "./ipv4.ts";

const subnet = (text: string, gateway = "", ipRange = "") =>
  rangeOf({ subnet: text, gateway, ipRange, auxiliaryAddresses: {} }, "bridge");
const prefix = (text: string) => parsePrefix(text)!.prefix;

test("several pools are used one after the other, each family by itself", () => {
  const addresses = new NetworkAddresses("n", [
    subnet("10.0.0.0/30", "10.0.0.1"),
    subnet("fd00::/127", "fd00::"),
    subnet("10.0.1.0/30", "10.0.1.2"),
  ]);
  assert.deepEqual(addresses.take(4), { address: "10.0.0.2", prefixLength: 30, gateway: "10.0.0.1" });
  assert.deepEqual(addresses.take(4), { address: "10.0.1.1", prefixLength: 30, gateway: "10.0.1.2" });
  assert.equal(addresses.take(4), undefined);
  assert.deepEqual(addresses.take(6), { address: "fd00::1", prefixLength: 127, gateway: "fd00::" });
  assert.equal(addresses.take(6), undefined);
  assert.throws(() => addresses.mustTake(4), {
    kind: "resourceExhausted",
    message: "no available IPv4 addresses on this network's address pools: n (10.0.0.0/30, 10.0.1.0/30)",
  });
  addresses.release("10.0.0.2");
  assert.equal(addresses.mustTake(4).address, "10.0.0.2");
});

test("an auxiliary address leads a bridge's containers out, when it has the name for it", () => {
  const definition = {
    subnet: "10.0.0.0/24",
    gateway: "10.0.0.1",
    ipRange: "",
    auxiliaryAddresses: { DefaultGatewayIPv4: "10.0.0.254", other: "10.0.0.2" },
  };
  const bridge = new NetworkAddresses("n", [rangeOf(definition, "bridge")]);
  assert.deepEqual(bridge.take(4), { address: "10.0.0.3", prefixLength: 24, gateway: "10.0.0.254" });
  const macvlan = new NetworkAddresses("n", [rangeOf(definition, "macvlan")]);
  assert.equal(macvlan.take(4)?.gateway, "10.0.0.1");
});

test("an address asked for: given, in use, never to be had, or not the network's", () => {
  const addresses = new NetworkAddresses("n", [subnet("10.0.0.0/24", "10.0.0.1", "10.0.0.128/25")]);
  assert.equal(addresses.takeExactly("10.0.0.9")?.address, "10.0.0.9");
  assert.equal(addresses.takeExactly("10.0.0.9"), undefined);
  assert.match(addresses.refusal("10.0.0.9").message, /^Address already in use: 10\.0\.0\.9$/);
  assert.equal(addresses.takeExactly("10.0.0.1"), undefined);
  assert.match(addresses.refusal("10.0.0.1").message, /^Address already in use: 10\.0\.0\.1$/);
  assert.match(addresses.refusal("10.0.0.1").hint ?? "", /network n's own, .* its gateway/);
  assert.throws(() => addresses.takeExactly("10.0.1.1"), { kind: "invalidArgument" });
});

test("whatever is taken, asked for and given back: no address is out twice", () => {
  const step = fc.oneof(
    fc.constant<"take">("take"),
    fc.integer({ min: 0, max: 16 }).map((n) => `10.0.0.${n}`),
    fc.integer({ min: 0, max: 20 }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const addresses = new NetworkAddresses("n", [
        subnet("10.0.0.0/29", "10.0.0.1"),
        subnet("10.0.0.8/29", "10.0.0.9"),
      ]);
      const out: string[] = [];
      for (const each of steps) {
        if (typeof each === "number") {
          const [given] = out.splice(each, 1);
          if (given !== undefined) addresses.release(given);
          continue;
        }
        const taken =
          each === "take" || !addresses.contains(each) ? addresses.take(4) : addresses.takeExactly(each);
        if (taken === undefined) continue;
        assert.ok(!out.includes(taken.address), taken.address);
        out.push(taken.address);
      }
      assert.ok(out.length <= 10);
    }),
  );
});

test("subnets must not share addresses", () => {
  const asked = (...texts: string[]) =>
    texts.map((text) => ({ subnet: text, gateway: "", ipRange: "", auxiliaryAddresses: {} }));
  checkOverlap(asked("10.0.0.0/24", "10.0.1.0/24", "fd00::/64"), [prefix("10.0.2.0/23")]);
  for (const [texts, others] of [
    [["10.0.0.0/24"], ["10.0.0.0/8"]],
    [["10.0.0.0/8"], ["10.0.0.0/24"]],
    [["fd00::/64"], ["fd00::/16"]],
    [["10.0.0.0/24", "10.0.0.128/25"], []],
  ] as const)
    assert.throws(() => checkOverlap(asked(...texts), others.map(prefix)), {
      kind: "permissionDenied",
      message: /^invalid pool request: Pool overlaps with other one on this address space/,
    });
});

test("a free subnet is neither another network's nor the host's", () => {
  const host = [parseCidr("172.18.0.0/16", "x").subnet];
  assert.equal(choosePool4(defaultPools, { networks: [prefix("172.17.0.0/16")], host }), "172.19.0.0/16");
  const small = cutPool({ base: "10.0.0.0/24", size: 25 });
  const networks = [prefix("10.0.0.0/25"), prefix("fd00::/8")];
  assert.equal(choosePool4(small, { networks, host: [] }), "10.0.0.128/25");
  assert.throws(() => choosePool4(small, { networks, host: [parseCidr("10.0.0.128/32", "x").subnet] }), {
    kind: "invalidArgument",
    message: "all predefined address pools have been fully subnetted",
    hint: /overlap with addresses or routes of the host/,
  });
});

test("IPv6 subnets of one machine are neighbours, those of another are elsewhere", () => {
  const first = choosePool6(localPools6("machine"), []);
  assert.match(first, /^fd[0-9a-f]{2}:[0-9a-f:]+::\/64$/);
  const second = choosePool6(localPools6("machine"), [prefix(first)]);
  assert.notEqual(second, first);
  assert.equal(prefix(second).base - prefix(first).base, 1n << 64n);
  assert.notEqual(choosePool6(localPools6("another"), []), first);
});

test("IPv6 subnets beside networks that cover most of a pool are found, however many they cover", () => {
  const pool = { range: prefix("fd00::/8"), prefixLength: 64 };
  assert.equal(choosePool6([pool], [prefix("fd00::/9")]), "fd80::/64");
  const taken = ["fd80::/64", "fd80:0:0:1::/80", "fd00::/9", "fd80:0:0:2::/63", "10.0.0.0/8"].map(prefix);
  assert.equal(choosePool6([pool], taken), "fd80:0:0:4::/64");
  const other = { range: prefix("fc00::/64"), prefixLength: 64 };
  assert.equal(choosePool6([pool, other], [prefix("fd00::/8")]), "fc00::/64");
  assert.throws(() => choosePool6([pool], [prefix("fc00::/7")]), { kind: "invalidArgument" });
});
