import assert from "node:assert/strict";
import { test } from "node:test";
import { ipamConfigs, type IpamFlags } from "./ipam.ts";

const flags = (given: Partial<IpamFlags>): IpamFlags => ({
  subnets: [],
  ranges: [],
  gateways: [],
  auxiliary: {},
  ...given,
});

test("ranges, gateways and addresses find their subnet", () => {
  assert.deepEqual(
    ipamConfigs(
      flags({
        subnets: ["10.1.0.0/16", "fd00::/64"],
        ranges: ["10.1.5.0/24"],
        gateways: ["fd00::9", "10.1.0.9"],
        auxiliary: { printer: "10.1.0.3" },
      }),
    ),
    [
      {
        Subnet: "10.1.0.0/16",
        IPRange: "10.1.5.0/24",
        Gateway: "10.1.0.9",
        AuxiliaryAddresses: { printer: "10.1.0.3" },
      },
      { Subnet: "fd00::/64", Gateway: "fd00::9" },
    ],
  );
  assert.deepEqual(ipamConfigs(flags({})), []);
  assert.deepEqual(
    ipamConfigs(flags({ subnets: ["none"] })),
    [{ Subnet: "none" }],
    "for the daemon to judge",
  );
});

test("what does not go together is refused in Docker's words", () => {
  const table: readonly (readonly [Partial<IpamFlags>, string])[] = [
    [{ gateways: ["10.0.0.1"] }, "every ip-range or gateway must have a corresponding subnet"],
    [
      { subnets: ["10.0.0.0/8", "10.1.0.0/16"] },
      "multiple overlapping subnet configuration is not supported",
    ],
    [{ subnets: ["10.0.0.0", "10.1.0.0/16"] }, "invalid CIDR address: 10.0.0.0"],
    [{ subnets: ["10.0.0.0/99"], gateways: ["10.0.0.1"] }, "invalid CIDR address: 10.0.0.0/99"],
    [{ subnets: ["10.0.0.0/24"], ranges: ["10.0.1.0/25"] }, "no matching subnet for range 10.0.1.0/25"],
    [{ subnets: ["10.0.0.0/24"], gateways: ["10.0.1.1"] }, "no matching subnet for gateway 10.0.1.1"],
    [
      { subnets: ["10.0.0.0/24"], auxiliary: { a: "10.9.9.9" } },
      "no matching subnet for aux-address 10.9.9.9",
    ],
    [
      { subnets: ["10.0.0.0/24", "10.0.1.0/24"], gateways: ["10.0.0.1", "10.0.0.2"] },
      "cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)",
    ],
  ];
  for (const [given, message] of table) assert.throws(() => ipamConfigs(flags(given)), { message });
});
