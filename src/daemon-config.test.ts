import assert from "node:assert/strict";
import { test } from "node:test";
import { mergeDaemonOptions, parseConfig, readConfigFile } from "./daemon-config.ts";

test("flags and file fill the options, defaults the rest", () => {
  const file = parseConfig(
    '{"debug": true, "dns": ["10.0.0.53"], "live-restore": true, "runtimes": {"kata": {"path": "/usr/bin/kata"}}}',
    "f",
  );
  const options = mergeDaemonOptions({ bridge: "br7", execRoot: "/run/x" }, file);
  assert.equal(options.debug, true);
  assert.equal(options.bridge, "br7");
  assert.deepEqual(options.dns, ["10.0.0.53"]);
  assert.deepEqual(options.hosts, ["unix:///run/x/gantry.sock"]);
  assert.equal(options.pidfile, "/run/x/gantry.pid");
  assert.equal(options.dataRoot, "/var/lib/gantry");
  assert.equal(options.runtimes["kata"]?.path, "/usr/bin/kata");
});

test("what is wrong with a configuration is said", () => {
  const table: [string, RegExp][] = [
    ["{", /unable to configure the daemon with file f: .*JSON/],
    ["[]", /must hold one JSON object/],
    ['{"debug": "yes"}', /"debug" must be a boolean/],
    ['{"dns": "10.0.0.1"}', /"dns" must be a list/],
    ['{"foo": 1, "bar": 2}', /don't match any configuration option: foo, bar/],
    ['{"raw-logs": true}', /"raw-logs" is not served/],
  ];
  for (const [text, message] of table) assert.throws(() => parseConfig(text, "f"), message, text);
});

test("a key in both flag and file is an error that names both values", () => {
  assert.throws(
    () => mergeDaemonOptions({ debug: true, bridge: "a" }, { debug: false }),
    /specified both as a flag and in the configuration file: debug: \(from flag: true, from file: false\)/,
  );
});

test("values that make no sense are refused", () => {
  assert.throws(() => mergeDaemonOptions({ dns: ["nope"] }, {}), /nope is not an ip address/);
  assert.throws(() => mergeDaemonOptions({ ip: "1.2.3" }, {}), /1\.2\.3 is not an ip address/);
  assert.throws(() => mergeDaemonOptions({ logLevel: "loud" as "info" }, {}), /invalid logging level: loud/);
  assert.throws(() => mergeDaemonOptions({ mtu: 12 }, {}), /invalid MTU: 12/);
  assert.throws(() => mergeDaemonOptions({ labels: ["x"] }, {}), /bad attribute format: x/);
});

test("an absent file matters only when it was named", () => {
  assert.deepEqual(readConfigFile("/nonexistent/daemon.json", false), {});
  assert.throws(() => readConfigFile("/nonexistent/daemon.json", true), /\/nonexistent\/daemon.json/);
});
