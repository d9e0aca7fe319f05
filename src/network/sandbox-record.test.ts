import assert from "node:assert/strict";
import { test } from "node:test";
import { emptyEndpoint } from "./endpoint-request.ts";
import type { EndpointRecord } from "./records.ts";
import {
  defaultRoutes,
  forwardsOf,
  freeInterfaceName,
  publishingEndpoint,
  type WayOut,
  withName,
} from "./sandbox-record.ts";

function endpoint(networkName: string, more: Partial<EndpointRecord> = {}): EndpointRecord {
  return {
    ...emptyEndpoint({ id: networkName, name: networkName, driver: "bridge" }),
    hostInterface: "",
    interfaceName: `if-${networkName}`,
    ipv4Address: `${networkName}4`,
    ipv4Gateway: `${networkName}4gw`,
    ...more,
  };
}

const open: WayOut = { hasWayOut: true, byDevice: false, hasIpv4: true, hasIpv6: false };

test("the default route is that of the highest priority, else of the first name", () => {
  const route = (...endpoints: EndpointRecord[]) => defaultRoutes(endpoints, () => open).ipv4?.interfaceName;
  assert.equal(route(endpoint("b"), endpoint("a")), "if-a");
  assert.equal(route(endpoint("b", { gatewayPriority: 1 }), endpoint("a")), "if-b");
  assert.equal(route(endpoint("b"), endpoint("a", { gatewayPriority: -1 })), "if-b");
  assert.equal(route(endpoint("b"), endpoint("a", { ipv4Gateway: "" })), "if-b");
  assert.equal(route(), undefined);
});

test("internal networks give none, each family has its own, and some leave by the device", () => {
  const internal = { ...open, hasWayOut: false };
  const ways: Record<string, WayOut> = {
    a: internal,
    b: open,
    c: { ...open, byDevice: true, hasIpv6: true },
  };
  const find = (...endpoints: EndpointRecord[]) =>
    defaultRoutes(endpoints, ({ networkId }) => ways[networkId]!);
  assert.deepEqual(find(endpoint("a"), endpoint("b")), {
    ipv4: { gateway: "b4gw", interfaceName: "if-b" },
    ipv6: undefined,
  });
  assert.deepEqual(find(endpoint("b"), endpoint("c")), {
    ipv4: { gateway: "b4gw", interfaceName: "if-b" },
    ipv6: { gateway: "", interfaceName: "if-c" },
  });
});

test("published ports lead to a bridge with a way out", () => {
  const macvlan = endpoint("a", { driver: "macvlan" });
  assert.equal(publishingEndpoint([macvlan, endpoint("b")], () => open)?.networkName, "b");
  assert.equal(
    publishingEndpoint([macvlan], () => open),
    undefined,
  );
});

test("what the firewall does for ports: translated ones, and those at the container's own address", () => {
  const record = {
    containerId: "c",
    containerName: "c",
    path: "",
    endpoints: [],
    ports: [
      { protocol: "tcp", containerPort: 80, hostIp: "0.0.0.0", hostPort: 8080 },
      { protocol: "tcp", containerPort: 80, hostIp: "::", hostPort: 8080 },
      { protocol: "tcp", containerPort: 81, hostIp: "10.0.0.2", hostPort: 81 },
      { protocol: "tcp", containerPort: 81, hostIp: "fd00::2", hostPort: 81 },
    ],
  } as const;
  const at = { ipv4Address: "10.0.0.2", ipv6Address: "fd00::2" };
  assert.deepEqual(
    forwardsOf(record, at).map(({ hostIp, containerAddress }) => `${hostIp}>${containerAddress}`),
    ["0.0.0.0>10.0.0.2", "::>fd00::2", "10.0.0.2>10.0.0.2", "fd00::2>fd00::2"],
  );
  assert.deepEqual(
    forwardsOf(record, { ...at, ipv6Address: "" }).map(({ hostIp }) => hostIp),
    ["0.0.0.0", "10.0.0.2"],
  );
  assert.deepEqual(forwardsOf(record, undefined), []);
});

test("devices are numbered by what is free", () => {
  const named = (...names: string[]) => names.map((interfaceName) => endpoint("x", { interfaceName }));
  assert.equal(freeInterfaceName("eth", []), "eth0");
  assert.equal(freeInterfaceName("eth", named("eth0", "eth2", "front0")), "eth1");
});

test("another name takes the place of the old one among the names", () => {
  const record = {
    containerId: "c",
    containerName: "old",
    path: "",
    ports: [],
    endpoints: [endpoint("n", { dnsNames: ["old", "alias", "0123456789ab"] })],
  };
  const renamed = withName(record, "new");
  assert.equal(renamed.containerName, "new");
  assert.deepEqual(renamed.endpoints[0]?.dnsNames, ["new", "alias", "0123456789ab"]);
});
