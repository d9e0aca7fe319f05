import assert from "node:assert/strict";
import { test } from "node:test";
import { parseContainerPort, portRequests, readContainerPort } from "./port-requests.ts";

test("port bindings become requests", () => {
  const requests = portRequests(
    { ExposedPorts: { "80/tcp": {}, "99": {}, "53/udp": {} } },
    {
      PublishAllPorts: true,
      PortBindings: {
        "80/tcp": [{ HostPort: "8080" }, { HostIp: "127.0.0.1", HostPort: "9000-9010" }],
        "53/udp": [{}],
      },
    },
    "10.0.0.1",
  );
  assert.deepEqual(
    requests.map((r) => `${r.hostIp}:${r.hostPortFirst}-${r.hostPortLast}>${r.containerPort}/${r.protocol}`),
    ["10.0.0.1:8080-8080>80/tcp", "127.0.0.1:9000-9010>80/tcp", "10.0.0.1:0-0>53/udp", "10.0.0.1:0-0>99/tcp"],
  );
});

test("ports that make no sense are refused with a sentence", () => {
  for (const text of ["", "0", "65536", "80/icmp", "x", "80-90", "-1"]) {
    assert.throws(() => parseContainerPort(text), /invalid port specification/, text);
    assert.equal(readContainerPort(text), undefined, text);
  }
  for (const HostPort of ["70000", "9-8", "x", "1-", "-5"])
    assert.throws(
      () => portRequests({}, { PortBindings: { "80/tcp": [{ HostPort }] } }, ""),
      /invalid port/,
      HostPort,
    );
  assert.throws(
    () => portRequests({}, { PortBindings: { "80/tcp": [{ HostIp: "localhost" }] } }, ""),
    /invalid IP address: "localhost"/,
  );
});
