import assert from "node:assert/strict";
import { test } from "node:test";
import { type AskedSettings, checkSettings } from "./endpoint-settings.ts";
import { parsePrefix } from "./ip.ts";

const subnets = (...texts: string[]) => texts.map((text) => parsePrefix(text)!.prefix);
const targets = {
  user: { isUserDefined: true, userSubnets: subnets("10.1.0.0/24") },
  both: { isUserDefined: true, userSubnets: subnets("10.1.0.0/24", "fd00:1::/64") },
  automatic: { isUserDefined: true, userSubnets: [] },
  missing: { isUserDefined: true, userSubnets: undefined },
  bridge: { isUserDefined: false, userSubnets: subnets("172.17.0.0/16") },
  host: { isUserDefined: false, userSubnets: [] },
} as const;
const out = (text: string): string => `no configured subnet or ip-range contain the IP address ${text}`;
const noSubnets =
  "user specified IP address is supported only when connecting to networks with user configured subnets";
const userOnly = "user specified IP address is supported on user defined networks only";
const noAlias = "network-scoped alias is supported only for containers in user defined networks";

/** What dockerd 26.1 says of each. */
const cases: readonly (readonly [keyof typeof targets, AskedSettings, ...problems: string[]])[] = [
  ["user", { ipv4Address: "10.1.0.9", linkLocalAddresses: ["169.254.3.4"], aliases: ["a"] }],
  ["both", { ipv4Address: "10.1.0.9", ipv6Address: "fd00:1::9" }],
  ["missing", { ipv4Address: "10.9.9.9" }],
  ["missing", { ipv4Address: "x" }, "invalid IPv4 address: x"],
  ["user", { ipv4Address: "" }],
  ["bridge", { linkLocalAddresses: ["169.254.3.4"] }],
  ["user", { ipv4Address: "10.9.9.9" }, out("10.9.9.9")],
  ["user", { ipv4Address: "10.9.9.9", ipv6Address: "fd00::5" }, out("10.9.9.9"), noSubnets],
  ["user", { ipv4Address: "abc" }, "invalid IPv4 address: abc", out("abc")],
  ["user", { ipv4Address: "0.0.0.0" }, "invalid IPv4 address: 0.0.0.0", out("0.0.0.0")],
  ["user", { ipv4Address: "fd00::1" }, "invalid IPv4 address: fd00::1", out("fd00::1")],
  ["user", { ipv6Address: "10.1.0.5" }, "invalid IPv6 address: 10.1.0.5", noSubnets],
  ["both", { ipv6Address: "fd00:2::5" }, out("fd00:2::5")],
  [
    "user",
    { linkLocalAddresses: ["abc", "::"] },
    ...["abc", "::"].map((x) => `invalid link-local IP address: ${x}`),
  ],
  ["automatic", { ipv4Address: "172.18.0.5" }, noSubnets],
  ["bridge", { ipv4Address: "10.1.1.1", aliases: ["x"] }, userOnly, noAlias, out("10.1.1.1")],
  ["bridge", { ipv4Address: "172.17.0.5" }, userOnly],
  ["host", { ipv4Address: "10.1.1.1" }, userOnly, noSubnets],
];

for (const [target, asked, ...problems] of cases)
  test(`${target} network, ${JSON.stringify(asked)}: ${problems.length} problems`, () => {
    const check = (): void => checkSettings(asked, targets[target], "network n: ");
    if (problems.length === 0) check();
    else {
      const list = problems.length === 1 ? problems[0] : problems.map((problem) => `* ${problem}`).join("\n");
      const message = `network n: invalid endpoint settings:\n${list}`;
      assert.throws(check, { kind: "invalidArgument", message });
    }
  });
