import assert from "node:assert/strict";
import { test } from "node:test";
import type { ErrorKind } from "../base/errors.ts";
import type { NetworkCreateRequest } from "../wire/network.ts";
import { checkCreateRequest, emptyDefinition } from "./definition.ts";

const check = (request: NetworkCreateRequest) => checkCreateRequest({ Name: "n", ...request }, undefined);
const ipam = (...Config: NonNullable<NonNullable<NetworkCreateRequest["IPAM"]>["Config"]>) => ({
  IPAM: { Config },
});

test("a plain request is a bridge with IPv4", () => {
  assert.deepEqual(check({}), { name: "n", driver: "bridge", definition: emptyDefinition });
  assert.equal(check({ Driver: "default" }).driver, "bridge");
});

test("subnets are read into their normal form", () => {
  const { definition } = check({
    EnableIPv6: true,
    ...ipam(
      {
        Subnet: "10.1.0.0/16",
        IPRange: "10.1.5.0/24",
        Gateway: "10.1.0.9",
        AuxiliaryAddresses: { a: "10.1.0.3" },
      },
      { Subnet: "FD00:0::/64", Gateway: "fd00:0:0::9" },
    ),
  });
  assert.deepEqual(definition.subnets, [
    {
      subnet: "10.1.0.0/16",
      gateway: "10.1.0.9",
      ipRange: "10.1.5.0/24",
      auxiliaryAddresses: { a: "10.1.0.3" },
    },
    { subnet: "fd00::/64", gateway: "fd00::9", ipRange: "", auxiliaryAddresses: {} },
  ]);
});

test("a subnet of a family that is off is left out, as with Docker", () => {
  assert.deepEqual(check({ EnableIPv6: false, ...ipam({ Subnet: "fd00::/64" }) }).definition.subnets, []);
});

test("macvlan can be without addresses, and names have slashes, as with Docker", () => {
  const { definition } = check({ Driver: "macvlan", EnableIPv4: false, IPAM: { Driver: "null" } });
  assert.deepEqual(definition.subnets, []);
  assert.equal(check({ Name: "team/web" }).name, "team/web");
});

test("the device that the options name is part of the definition", () => {
  assert.equal(check({ Options: { "com.docker.network.bridge.name": "br9" } }).definition.device, "br9");
  assert.equal(check({ Driver: "macvlan", Options: { parent: "eth0" } }).definition.device, "eth0");
});

test("what makes no sense is refused in Docker's words", () => {
  const table: readonly (readonly [NetworkCreateRequest, ErrorKind, RegExp])[] = [
    [{ Name: "" }, "invalidArgument", /^invalid name: name is empty$/],
    [{ Name: "  " }, "invalidArgument", /name is empty/],
    [{ Name: "a\nb" }, "invalidArgument", /control character/],
    [{ Name: "host" }, "permissionDenied", /^operation is not permitted on predefined host network$/],
    [{ Name: "default" }, "permissionDenied", /predefined default network/],
    [{ Driver: "host" }, "permissionDenied", /^only one instance of "host" network is allowed$/],
    [{ Driver: "null" }, "permissionDenied", /^only one instance of "null" network is allowed$/],
    [
      { Driver: "weave" },
      "notFound",
      /^could not find plugin weave in v1 plugin registry: plugin not found$/,
    ],
    [{ IPAM: { Driver: "dhcp" } }, "notFound", /could not find plugin dhcp/],
    [{ Driver: "overlay" }, "unavailable", /not a swarm manager/],
    [{ Scope: "swarm" }, "unavailable", /not a swarm manager/],
    [{ Scope: "moon" }, "invalidArgument", /invalid scope: moon/],
    [{ Ingress: true }, "unavailable", /swarm/],
    [{ EnableIPv4: false }, "invalidArgument", /IPv4 or IPv6 must be enabled/],
    [
      ipam({ Subnet: "x" }),
      "invalidArgument",
      /^invalid network config:\ninvalid subnet x: invalid CIDR block notation$/,
    ],
    [ipam({}), "invalidArgument", /invalid subnet : invalid CIDR block notation/],
    [
      ipam({ Subnet: "10.0.0.1/24" }),
      "invalidArgument",
      /invalid subnet 10\.0\.0\.1\/24: it should be 10\.0\.0\.0\/24/,
    ],
    [ipam({ Subnet: "10.0.0.0/24", IPRange: "x" }), "invalidArgument", /invalid ip-range x: invalid CIDR/],
    [
      ipam({ Subnet: "10.0.0.0/24", IPRange: "10.0.0.0/16" }),
      "invalidArgument",
      /CIDR block is bigger than its parent subnet/,
    ],
    [
      ipam({ Subnet: "10.0.0.0/24", IPRange: "10.0.0.9/28" }),
      "invalidArgument",
      /invalid ip-range 10\.0\.0\.9\/28: it should be 10\.0\.0\.0\/28/,
    ],
    [ipam({ Subnet: "10.0.0.0/24", IPRange: "10.0.1.0/28" }), "invalidArgument", /doesn't contain ip-range/],
    [
      ipam({ Subnet: "10.0.0.0/24", IPRange: "fd00::/64" }),
      "invalidArgument",
      /parent subnet is an IPv4 block/,
    ],
    [
      ipam({ Subnet: "10.0.0.0/24", Gateway: "10.0.1.1" }),
      "invalidArgument",
      /invalid gateway 10\.0\.1\.1: parent subnet 10\.0\.0\.0\/24 doesn't contain this address/,
    ],
    [ipam({ Subnet: "10.0.0.0/24", Gateway: "x" }), "invalidArgument", /invalid gateway x: invalid address/],
    [
      ipam({ Subnet: "10.0.0.0/24", AuxiliaryAddresses: { a: "10.9.9.9" } }),
      "invalidArgument",
      /invalid auxiliary address a/,
    ],
    [
      ipam({ Subnet: "10.0.0.0/24", Gateway: "10.0.0.2", AuxiliaryAddresses: { a: "10.0.0.2" } }),
      "permissionDenied",
      /Address already in use/,
    ],
    [
      { IPAM: { Driver: "null", Config: [{ Subnet: "10.0.0.0/24" }] } },
      "invalidArgument",
      /^ipv4 pool is empty$/,
    ],
    [
      {
        Driver: "macvlan",
        EnableIPv4: false,
        IPAM: { Driver: "null", Config: [{ Subnet: "10.0.0.0/24" }] },
      },
      "invalidArgument",
      /null IPAM driver/,
    ],
    [{ Driver: "macvlan", IPAM: { Driver: "null" } }, "invalidArgument", /^ipv4 pool is empty$/],
    [
      { EnableIPv4: false, EnableIPv6: true, IPAM: { Driver: "null" } },
      "invalidArgument",
      /^ipv6 pool is empty$/,
    ],
    ...["10.0.0.0", "10.0.0.255"].map(
      (Gateway) =>
        [
          ipam({ Subnet: "10.0.0.0/24", Gateway }),
          "permissionDenied",
          /^failed to allocate gateway \(10\.0\.0\.\d+\): Address already in use$/,
        ] as const,
    ),
    [
      ipam({ Subnet: "10.0.0.0/24", AuxiliaryAddresses: { a: "10.0.0.5", b: "10.0.0.5" } }),
      "permissionDenied",
      /^failed to allocate secondary ip address \(b:10\.0\.0\.5\): Address already in use$/,
    ],
    [
      { Driver: "macvlan", Options: { parent: "lo" } },
      "invalidArgument",
      /^loopback interface is not a valid macvlan parent link$/,
    ],
    [{ ConfigOnly: true, Internal: true }, "permissionDenied", /configuration network can only contain/],
    [{ ConfigOnly: true, ConfigFrom: { Network: "x" } }, "permissionDenied", /cannot depend on another/],
  ];
  for (const [request, kind, message] of table)
    assert.throws(() => check(request), { kind, message }, JSON.stringify(request));
});

test("all complaints about subnets come at once", () => {
  assert.throws(() => check(ipam({ Subnet: "10.0.0.0/24", Gateway: "x", IPRange: "y" }, { Subnet: "z" })), {
    message: /ip-range y.*\n.*gateway x.*\n.*subnet z/,
  });
});

test("a template gives all but the use of the network", () => {
  const template = { ...emptyDefinition, configOnly: true, labels: { a: "b" }, options: { parent: "eth0" } };
  const made = checkCreateRequest(
    { Name: "n", Driver: "macvlan", Attachable: true, ConfigFrom: { Network: "t" } },
    template,
  );
  assert.deepEqual(made.definition, {
    ...template,
    configOnly: false,
    attachable: true,
    configFrom: "t",
    device: "eth0",
  });
  assert.throws(
    () => checkCreateRequest({ Name: "n", Labels: { x: "y" }, ConfigFrom: { Network: "t" } }, template),
    {
      kind: "permissionDenied",
      message: /^user-specified configurations are not supported/,
    },
  );
  assert.throws(
    () => checkCreateRequest({ Name: "n", Options: { x: "y" }, ConfigFrom: { Network: "t" } }, template),
    { kind: "permissionDenied", message: /^network driver options are not supported/ },
  );
});
