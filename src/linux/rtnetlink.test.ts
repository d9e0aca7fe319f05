import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { isKind } from "../base/errors.ts";
import { createNetns, deleteNetns, inNetns } from "./netns.ts";
import { RouteSocket } from "./rtnetlink.ts";
import { readSysctl, sysctlPath, writeSysctl } from "./sysctl.ts";

const directory = mkdtempSync(join(tmpdir(), "gantry-netns-"));
after(() => rmSync(directory, { recursive: true, force: true }));
const self = (): string => readlinkSync("/proc/thread-self/ns/net");
let counter = 0;

/** Two fresh namespaces: `host` plays the host, so that nothing here touches the real one. */
function namespaces(): { host: string; inner: string } & Disposable {
  counter += 1;
  const host = join(directory, `host${counter}`);
  const inner = join(directory, `inner${counter}`);
  createNetns(host, () => {});
  createNetns(inner, () => {});
  return {
    host,
    inner,
    [Symbol.dispose]() {
      deleteNetns(inner);
      deleteNetns(host);
    },
  };
}

test("a namespace is entered for one call and left again, also when the call throws", () => {
  using spaces = namespaces();
  const before = self();
  const inside = inNetns(spaces.inner, self);
  assert.notEqual(inside, before);
  assert.equal(self(), before);
  assert.throws(
    () =>
      inNetns(spaces.inner, () => {
        throw new Error("inside");
      }),
    /inside/,
  );
  assert.equal(self(), before);
});

test("a failing initialization leaves no namespace and no file", () => {
  const path = join(directory, "failing");
  const before = self();
  assert.throws(
    () =>
      createNetns(path, () => {
        throw new Error("half way");
      }),
    /half way/,
  );
  assert.equal(existsSync(path), false);
  assert.equal(self(), before);
});

test("an unknown namespace is notFound and names the file", () => {
  assert.throws(
    () => inNetns(join(directory, "nowhere"), () => {}),
    (error) => isKind(error, "notFound") && /nowhere/.test(error.message),
  );
  deleteNetns(join(directory, "nowhere"));
});

test("bridge, veth into another namespace, addresses and routes", async () => {
  using spaces = namespaces();
  using host = RouteSocket.open(spaces.host);
  using inner = RouteSocket.open(spaces.inner);
  host.createBridge("br0", { mac: "02:00:00:00:00:01", mtu: 1400 });
  const bridge = host.link("br0");
  assert.ok(bridge);
  assert.deepEqual(
    { kind: bridge.kind, mac: bridge.mac, mtu: bridge.mtu, up: bridge.isUp },
    { kind: "bridge", mac: "02:00:00:00:00:01", mtu: 1400, up: true },
  );
  host.addAddress(bridge.index, { address: "10.201.0.1", prefixLength: 24 });

  await host.createVethAsync({
    name: "veth0",
    peerName: "eth0",
    peerMac: "02:00:00:00:00:02",
    peerNetns: spaces.inner,
    mtu: 1400,
    masterIndex: bridge.index,
  });
  const outer = host.link("veth0");
  assert.ok(outer);
  assert.equal(outer.masterIndex, bridge.index);
  assert.equal(outer.isUp, true);
  host.setBridgePort(outer.index, { hairpin: true, isolated: true });

  const eth0 = inner.link("eth0");
  assert.ok(eth0);
  assert.equal(eth0.mac, "02:00:00:00:00:02");
  assert.equal(eth0.mtu, 1400);
  inner.setLink(1, { up: true });
  inner.setLink(eth0.index, { up: true });
  inner.addAddress(eth0.index, { address: "10.201.0.2", prefixLength: 24 });
  inner.addDefaultRoute("10.201.0.1", eth0.index);
  assert.deepEqual(
    inner.addresses().filter(({ linkIndex }) => linkIndex === eth0.index),
    [{ address: "10.201.0.2", prefixLength: 24, linkIndex: eth0.index }],
  );
  assert.ok(
    inner
      .routes()
      .some(({ destination, gateway }) => destination.prefixLength === 0 && gateway === "10.201.0.1"),
  );
  // The C tools see the same.
  const seen = execFileSync("nsenter", [`--net=${spaces.inner}`, "ip", "-o", "-4", "addr", "show", "eth0"], {
    encoding: "utf8",
  });
  assert.match(seen, /inet 10\.201\.0\.2\/24 brd 10\.201\.0\.255/);

  inner.setLink(eth0.index, { mac: "02:00:00:00:00:03", mtu: 1300 });
  assert.equal(inner.link("eth0")?.mac, "02:00:00:00:00:03");
  inner.deleteAddress(eth0.index, { address: "10.201.0.2", prefixLength: 24 });
  assert.equal(
    inner.addresses().some(({ linkIndex }) => linkIndex === eth0.index),
    false,
  );
  inner.setLink(eth0.index, { up: false });
  inner.setLink(eth0.index, { name: "eth7" });
  assert.ok(inner.link("eth7"));
  assert.equal(host.deleteLink("veth0"), true);
  assert.equal(host.deleteLink("veth0"), false);
  assert.equal(await host.deleteLinkAsync("veth0"), false);
  assert.equal(inner.link("eth7"), undefined);
});

test("refusals have the errno's kind and say what was asked", () => {
  using spaces = namespaces();
  using host = RouteSocket.open(spaces.host);
  host.createBridge("br0", { mac: "02:00:00:00:00:01", mtu: 1500 });
  const index = host.link("br0")!.index;
  assert.throws(
    () => host.createBridge("br0", { mac: "02:00:00:00:00:01", mtu: 1500 }),
    (error) => isKind(error, "alreadyExists") && /create bridge br0/.test(error.message),
  );
  host.addAddress(index, { address: "10.201.1.1", prefixLength: 24 });
  assert.throws(
    () => host.addAddress(index, { address: "10.201.1.1", prefixLength: 24 }),
    (error) => isKind(error, "alreadyExists"),
  );
  assert.throws(() => host.addDefaultRoute("10.99.0.1", index), /add default route by 10\.99\.0\.1/);
  assert.throws(
    () => host.setLink(9999, { up: true }),
    (error) => isKind(error, "notFound"),
  );
});

test("a long list of links comes whole", () => {
  using spaces = namespaces();
  using host = RouteSocket.open(spaces.host);
  for (let i = 0; i < 40; i++) host.createBridge(`b${i}`, { mac: "02:00:00:00:00:01", mtu: 1500 });
  assert.equal(host.links().filter(({ kind }) => kind === "bridge").length, 40);
});

test("kernel settings belong to the namespace", () => {
  using spaces = namespaces();
  const name = ["net", "ipv4", "conf", "lo", "route_localnet"];
  const outside = readSysctl(name);
  inNetns(spaces.inner, () => {
    assert.equal(readSysctl(name), "0");
    assert.equal(writeSysctl(name, "1"), true);
    assert.equal(writeSysctl(name, "1"), false);
    assert.equal(readSysctl(name), "1");
  });
  assert.equal(readSysctl(name), outside);
  assert.equal(readSysctl("net.ipv4.no_such_setting"), undefined);
  assert.throws(
    () => writeSysctl("net.ipv4.no_such_setting", "1"),
    (error) => isKind(error, "notFound"),
  );
  assert.equal(
    sysctlPath(["net", "ipv4", "conf", "eth0.5", "forwarding"]),
    "/proc/sys/net/ipv4/conf/eth0.5/forwarding",
  );
});
