/** An address that goes from one container to another: neighbours remember whose it was. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { eventually } from "../../test/helpers/process.ts";
import { ended, newRoot } from "./manager.fixture.ts";
import { ask, inside, serve, testManager } from "./network.fixture.ts";

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
  const what = (): string => `${address} to be ${mac}, not ${knownMac(netns, address)}`;
  await eventually(() => knownMac(netns, address) === mac, { timeoutMs: 60_000, what });
}

test("neighbours learn who has an address now, also from a daemon that did not give it the first time", async (t) => {
  const root = newRoot();
  // Four addresses beside the peer's: the fifth container has that of the first.
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
