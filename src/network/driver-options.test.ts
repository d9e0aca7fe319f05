import assert from "node:assert/strict";
import { test } from "node:test";
import { bridgeOptions, endpointOptions, ipvlanOptions, macvlanOptions } from "./driver-options.ts";

const bridge = "com.docker.network.bridge.";

test("a bridge without options", () => {
  assert.deepEqual(bridgeOptions({}, false), {
    name: "",
    icc: true,
    masquerade: true,
    hostBindingIp: "",
    mtu: 0,
    gatewayModes: { ipv4: "nat", ipv6: "nat" },
    inhibitIPv4: false,
    hostIPv4: "",
    hostIPv6: "",
    trustedInterfaces: [],
    interfacePrefix: "eth",
  });
});

test("options are read as Docker reads them; unknown ones mean nothing", () => {
  const read = bridgeOptions(
    {
      [`${bridge}name`]: "br-x",
      [`${bridge}enable_icc`]: "f",
      [`${bridge}enable_ip_masquerade`]: "FALSE",
      [`${bridge}trusted_host_interfaces`]: "eth0:wg1",
      [`${bridge}gateway_mode_ipv6`]: "routed",
      "com.docker.network.driver.mtu": "9000",
      "com.docker.network.host_ipv4": "192.0.2.1",
      "com.docker.network.container_iface_prefix": "net",
      anything: "else",
    },
    false,
  );
  assert.deepEqual(
    [read.name, read.icc, read.masquerade, read.trustedInterfaces, read.gatewayModes.ipv6, read.mtu],
    ["br-x", false, false, ["eth0", "wg1"], "routed", 9000],
  );
  assert.deepEqual([read.hostIPv4, read.interfacePrefix], ["192.0.2.1", "net"]);
});

test("what cannot be is refused, and what could leave a rule's text", () => {
  const table: readonly (readonly [Record<string, string>, boolean])[] = [
    [{ [`${bridge}enable_icc`]: "yes" }, false],
    [{ [`${bridge}name`]: 'x"; flush ruleset' }, false],
    [{ [`${bridge}name`]: "sixteen-letters-x" }, false],
    [{ [`${bridge}trusted_host_interfaces`]: 'a" } ; drop' }, false],
    [{ [`${bridge}host_binding_ipv4`]: "nowhere" }, false],
    [{ "com.docker.network.host_ipv4": "fd00::1" }, false],
    [{ "com.docker.network.driver.mtu": "-5" }, false],
    [{ "com.docker.network.driver.mtu": "70000" }, false],
    [{ [`${bridge}gateway_mode_ipv4`]: "isolated" }, false],
    [{ [`${bridge}gateway_mode_ipv4`]: "routed" }, true],
    [{ "com.docker.network.container_iface_prefix": "a/b" }, false],
  ];
  for (const [options, internal] of table)
    assert.throws(
      () => bridgeOptions(options, internal),
      { kind: "invalidArgument" },
      JSON.stringify(options),
    );
});

test("macvlan and ipvlan", () => {
  assert.deepEqual(macvlanOptions({}, false), { kind: "macvlan", parent: "", mode: "bridge", mtu: 0 });
  assert.deepEqual(ipvlanOptions({ parent: "eth0.5", ipvlan_mode: "l3s", ipvlan_flag: "vepa" }, false), {
    kind: "ipvlan",
    parent: "eth0.5",
    mode: "l3s",
    flag: "vepa",
    mtu: 0,
  });
  assert.equal(macvlanOptions({ parent: "eth0" }, true).parent, "");
  assert.throws(() => macvlanOptions({ macvlan_mode: "l2" }, false), {
    message: "requested macvlan mode 'l2' is not valid, 'bridge' mode is the macvlan driver default",
  });
  assert.throws(() => ipvlanOptions({ ipvlan_mode: "bridge" }, false), {
    message: "requested ipvlan mode 'bridge' is not valid, 'l2' mode is the ipvlan driver default",
  });
  assert.throws(() => ipvlanOptions({ parent: "a b" }, false), { message: /parent/ });
});

test("options of one endpoint", () => {
  assert.deepEqual(
    endpointOptions({
      "com.docker.network.endpoint.ifname": "front0",
      "com.docker.network.endpoint.sysctls":
        "net.ipv4.conf.IFNAME.log_martians=1,net.ipv6.conf.IFNAME.accept_ra=0",
    }),
    {
      interfaceName: "front0",
      sysctls: [
        ["net.ipv4.conf.IFNAME.log_martians", "1"],
        ["net.ipv6.conf.IFNAME.accept_ra", "0"],
      ],
    },
  );
  for (const sysctls of ["kernel.panic=1", "net.ipv4.conf.eth0.x=1", "net.ipv4.conf.IFNAME.../x=1", "x"])
    assert.throws(() => endpointOptions({ "com.docker.network.endpoint.sysctls": sysctls }), {
      kind: "invalidArgument",
    });
  assert.throws(() => endpointOptions({ "com.docker.network.endpoint.ifname": "lo" }), {
    kind: "invalidArgument",
  });
});
