import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isKind } from "../base/errors.ts";
import {
  hostsFileFor,
  parseExtraHost,
  pointsAtResolvedStub,
  readHostResolvConf,
  resolvConfFor,
  type ResolvConfOptions,
} from "./name-files.ts";

const nothing: ResolvConfOptions = { dns: [], dnsSearch: [], dnsOptions: [] };

const resolvCases: readonly [string, string, Partial<ResolvConfOptions>, string][] = [
  [
    "the host's file as it is",
    "# written by dhcp\nnameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.example b.example\noptions ndots:2 timeout:1\n",
    {},
    "nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch a.example b.example\noptions ndots:2 timeout:1\n",
  ],
  [
    "loopback servers go",
    "nameserver 127.0.0.1\nnameserver ::1\nnameserver 9.9.9.9\n",
    {},
    "nameserver 9.9.9.9\n",
  ],
  [
    "public servers when none is left",
    "nameserver 127.0.1.1\n",
    {},
    "nameserver 8.8.8.8\nnameserver 8.8.4.4\n",
  ],
  ["an empty file", "", {}, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"],
  [
    "IPv6 servers go",
    "nameserver fe80::1%eth0\nnameserver fd00::1\nnameserver 10.0.0.1\n",
    {},
    "nameserver 10.0.0.1\n",
  ],
  [
    "given servers stay as they are, loopback and IPv6 too",
    "nameserver 10.0.0.1\nsearch a.example\n",
    { dns: ["127.0.0.1", "fd00::1"] },
    "nameserver 127.0.0.1\nnameserver fd00::1\nsearch a.example\n",
  ],
  [
    "given domains and options",
    "nameserver 10.0.0.1\nsearch a.example\noptions ndots:5\n",
    { dnsSearch: ["x", "y"], dnsOptions: ["use-vc"] },
    "nameserver 10.0.0.1\nsearch x y\noptions use-vc\n",
  ],
  [
    "a dot for no domains",
    "nameserver 10.0.0.1\nsearch a.example\n",
    { dnsSearch: ["."] },
    "nameserver 10.0.0.1\n",
  ],
  [
    "the last search line counts, options add up, comments go, others stay",
    "nameserver 10.0.0.1 # first\n; old\ndomain a\nsearch b\noptions rotate\noptions debug\nsortlist 10.0.0.0\n",
    {},
    "nameserver 10.0.0.1\nsearch b\noptions rotate debug\nsortlist 10.0.0.0\n",
  ],
];

test("/etc/resolv.conf", () => {
  for (const [name, host, options, expected] of resolvCases)
    assert.equal(resolvConfFor(host, { ...nothing, ...options }), expected, name);
  assert.throws(
    () => resolvConfFor("", { ...nothing, dns: ["dns.example"] }),
    (error) => isKind(error, "invalidArgument") && /dns\.example is not an ip address/.test(error.message),
  );
});

test("systemd-resolved's own file stands in for its stub", () => {
  assert.equal(pointsAtResolvedStub("nameserver 127.0.0.53\noptions edns0\n"), true);
  assert.equal(pointsAtResolvedStub("nameserver 127.0.0.53\nnameserver 10.0.0.1\n"), false);
  assert.equal(pointsAtResolvedStub("nameserver 127.0.0.1\n"), false);
  const directory = mkdtempSync(join(tmpdir(), "gantry-resolv-"));
  try {
    const [stub, real, plain] = ["stub", "real", "plain"].map((name) => join(directory, name)) as [
      string,
      string,
      string,
    ];
    writeFileSync(stub, "nameserver 127.0.0.53\n");
    writeFileSync(real, "nameserver 10.0.0.1\n");
    writeFileSync(plain, "nameserver 10.0.0.2\n");
    assert.equal(readHostResolvConf(stub, real), "nameserver 10.0.0.1\n");
    assert.equal(readHostResolvConf(plain, real), "nameserver 10.0.0.2\n");
    assert.equal(readHostResolvConf(stub, join(directory, "none")), "nameserver 127.0.0.53\n");
    assert.equal(readHostResolvConf(join(directory, "none"), real), "");
  } finally {
    rmSync(directory, { recursive: true });
  }
});

const localLines = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

test("/etc/hosts", () => {
  const base = {
    hostname: "c0ffee",
    domainname: "",
    addresses: [],
    extraHosts: [],
    hostGateways: ["172.17.0.1"],
  };
  assert.equal(hostsFileFor(base), localLines);
  assert.equal(hostsFileFor({ ...base, addresses: ["172.17.0.2"] }), `${localLines}172.17.0.2\tc0ffee\n`);
  assert.equal(
    hostsFileFor({
      ...base,
      domainname: "example.org",
      addresses: ["172.17.0.2"],
      extraHosts: ["db:10.0.0.9", "up:host-gateway", "six:fd00::9", "seven=[fd00::7]"],
    }),
    `${localLines}10.0.0.9\tdb\n172.17.0.1\tup\nfd00::9\tsix\nfd00::7\tseven\n172.17.0.2\tc0ffee.example.org c0ffee\n`,
  );
  assert.equal(
    hostsFileFor({ ...base, hostname: "a.b.c", addresses: ["172.17.0.2"] }),
    `${localLines}172.17.0.2\ta.b.c a\n`,
  );
});

test("extra hosts that are none", () => {
  for (const entry of ["", "name", ":10.0.0.1", "name:", "a b:10.0.0.1", "name:10.0.0"])
    assert.throws(
      () => parseExtraHost(entry, ["172.17.0.1"]),
      (error) => isKind(error, "invalidArgument"),
      entry,
    );
  assert.throws(() => parseExtraHost("a:host-gateway", []), /host-gateway/);
});
