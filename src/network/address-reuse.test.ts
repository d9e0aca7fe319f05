/** An address that goes from one container to another: neighbours remember whose it was. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ended, newRoot, started } from "./manager.fixture.ts";
import { ask, inside, serve, testManager } from "./network.fixture.ts";
import { NetworkAddresses } from "./network-addresses.ts";
import { parsePrefix } from "./ip.ts";

const pretendHost = undefined;

/** The hardware address that a namespace knows for an address; undefined when it does not know it. */
function knownMac(netns: string | undefined, address: string): string | undefined {
  const args = ["neigh", "show", "to", address];
  const entry =
    netns === undefined ? execFileSync("ip", args, { encoding: "utf8" }) : inside(netns, "ip", ...args);
  return /lladdr (\S+)/.exec(entry)?.[1];
}

/** Waits until `netns` knows this hardware address: nothing is sent to the address meanwhile. */
async function untilKnown(
  netns: string | undefined,
  address: string,
  mac: string | undefined,
): Promise<void> {
  for (const deadline = performance.now() + 60_000; knownMac(netns, address) !== mac; await sleep(20))
    assert.ok(performance.now() < deadline, `${address} is ${knownMac(netns, address)}, not ${mac}`);
}

test("neighbours learn who has an address now, also from a daemon that did not give it the first time", async (t) => {
  const root = newRoot();
  // Two addresses beside the peer's: each is given again with the next container but one.
  const config = { bridge: "gt-manR", bip: "10.232.40.1/24", fixedCidr: "10.232.40.64/30" };
  const first = testManager(root, config, 1);
  let last = first;
  t.after(() => ended(last));
  await first.restore(() => false);
  const peer = await first.openContainer({ id: "peer", ipv4Address: "10.232.40.200" });
  const neighbours = [pretendHost, peer.netns];
  const openAndTalk = async (manager: typeof first, id: string, ipv4Address?: string): Promise<string> => {
    const { netns, endpoints } = await manager.openContainer({ id, ...(ipv4Address && { ipv4Address }) });
    const { ipv4Address: address, macAddress } = endpoints[0]!;
    for (const netns of neighbours)
      if (knownMac(netns, address) !== undefined) await untilKnown(netns, address, macAddress);
    const server = await serve(netns, 80, id);
    for (const netns of neighbours)
      assert.match((await ask(netns, address, 80)) ?? "", new RegExp(`^${id} `));
    for (const netns of neighbours) assert.equal(knownMac(netns, address), macAddress);
    server.close();
    manager.close(id);
    await manager.idle();
    return address;
  };
  const given = [];
  for (let i = 0; i < 8; i++) given.push(await openAndTalk(first, `one${i}`));
  assert.equal(new Set(given).size, 4);
  for (let i = 0; i < 2; i++) await openAndTalk(first, `asked${i}`, "10.232.40.150");
  await first.shutdown({ removeAll: false });

  const second = testManager(root, config, 1);
  last = second;
  await second.restore((id) => id === "peer");
  await openAndTalk(second, "two", "10.232.40.150");
  await openAndTalk(second, "three", given[0]);
});

test("an address that nobody had is told from one that somebody had", () => {
  const ranges = ["10.0.0.0/29", "fd00::/125"].map((subnet) => ({
    subnet: parsePrefix(subnet)!.prefix,
    gateway: undefined,
  }));
  const addresses = new NetworkAddresses("n", ranges, { isFresh: true });
  const take = (family: 4 | 6): [string, boolean] => {
    const { address } = addresses.mustTake(family);
    return [address, addresses.isUsedAgain(address)];
  };
  const takeExactly = (address: string): boolean => {
    assert.ok(addresses.takeExactly(address));
    return addresses.isUsedAgain(address);
  };
  assert.deepEqual(
    [take(4), take(4)],
    [
      ["10.0.0.1", false],
      ["10.0.0.2", false],
    ],
  );
  assert.equal(takeExactly("10.0.0.4"), false);
  for (const address of ["10.0.0.1", "10.0.0.2", "10.0.0.4"]) addresses.release(address);
  assert.equal(takeExactly("10.0.0.2"), true);
  assert.deepEqual(
    [take(4), take(4), take(4)],
    [
      ["10.0.0.3", false],
      ["10.0.0.4", true],
      ["10.0.0.5", false],
    ],
  );
  assert.deepEqual(
    [take(4), take(4)],
    [
      ["10.0.0.6", false],
      ["10.0.0.1", true],
    ],
  );
  assert.deepEqual(
    [take(6), take(6)],
    [
      ["fd00::1", false],
      ["fd00::2", false],
    ],
  );
  // Not the pool's: nobody knows.
  assert.equal(addresses.isUsedAgain("169.254.1.1"), true);
  const known = new NetworkAddresses("n", ranges);
  assert.equal(known.isUsedAgain(known.mustTake(4).address), true);
});

test("a new network, and a bridge that somebody made, are told apart", async (t) => {
  execFileSync("ip", ["link", "add", "gt-manS", "type", "bridge"]);
  t.after(() => execFileSync("ip", ["link", "del", "gt-manS"]));
  const manager = await started(t, { bridge: "gt-manU", bip: "10.232.41.1/24" }, newRoot(), 0);
  await manager.create({ Name: "new" });
  await manager.create({ Name: "theirs", Options: { "com.docker.network.bridge.name": "gt-manS" } });
  /** Set when the kernel was told to announce the address. */
  const isAnnounced = async (network: string): Promise<boolean> => {
    const { netns } = await manager.openContainer({ network });
    return inside(netns, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_notify") === "1\n";
  };
  assert.deepEqual(
    [await isAnnounced("bridge"), await isAnnounced("new"), await isAnnounced("theirs")],
    [false, false, true],
  );
  for (const { containerId } of manager.sandboxes()) manager.close(containerId);
  await manager.idle();
  for (const name of ["new", "theirs"]) await manager.remove(name);
});
