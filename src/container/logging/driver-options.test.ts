import assert from "node:assert/strict";
import { test } from "node:test";
import { chosenAttributes, type LoggedContainer, logTag } from "./container-attributes.ts";
import { rotationLimits, validateLogging, waitingLimit, withDaemonLogging } from "./driver-options.ts";

test("what Docker refuses is refused in its words", () => {
  const cases: [type: string, options: Record<string, string>, message: string][] = [
    ["nosuch", {}, 'error looking up logging plugin nosuch: plugin "nosuch" not found'],
    ["json-file", { mode: "x" }, "logger: logging mode not supported: x"],
    [
      "json-file",
      { "max-buffer-size": "1m" },
      "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
    ],
    ["json-file", { foo: "bar" }, "unknown log opt 'foo' for json-file log driver"],
    ["local", { labels: "x" }, "unknown log opt 'labels' for log driver local"],
    ["journald", { foo: "x" }, "unknown log opt 'foo' for journald log driver"],
    ["json-file", { "max-size": "0" }, "max-size must be a positive number"],
    ["json-file", { "max-size": "abc" }, "invalid size: 'abc'"],
    ["json-file", { "max-file": "0" }, "max-file cannot be less than 1"],
    ["json-file", { "max-file": "x" }, 'strconv.Atoi: parsing "x": invalid syntax'],
    [
      "json-file",
      { compress: "true", "max-size": "1m" },
      "compress cannot be true when max-file is less than 2 or max-size is not set",
    ],
    ["json-file", { compress: "maybe" }, 'strconv.ParseBool: parsing "maybe": invalid syntax'],
    ["syslog", { "syslog-address": "foo" }, "unsupported scheme: ''"],
    ["syslog", { "syslog-address": "http://x:1" }, "unsupported scheme: 'http'"],
    ["syslog", { "syslog-facility": "foo" }, "invalid syslog facility"],
    ["syslog", { "syslog-format": "foo" }, "Invalid syslog format"],
  ];
  for (const [Type, Config, message] of cases)
    assert.throws(() => validateLogging({ Type, Config }), { kind: "invalidArgument", message });
  assert.throws(() => validateLogging({ Config: { "labels-regex": "[" } }), /error parsing regexp/);
  assert.throws(() => validateLogging({ Type: "gelf" }), { kind: "notImplemented" });
});

test("what is right is taken", () => {
  for (const [Type, Config] of [
    ["", {}],
    ["none", {}],
    ["json-file", { "max-size": "10m", "max-file": "3", compress: "true", tag: "x", "env-regex": "^A" }],
    ["json-file", { mode: "non-blocking", "max-buffer-size": "4m" }],
    ["local", { "max-size": "1m", "max-file": "1", compress: "false" }],
    ["journald", { tag: "{{.Name}}", labels: "a,b" }],
    [
      "syslog",
      { "syslog-address": "udp://127.0.0.1", "syslog-facility": "local3", "syslog-format": "rfc5424" },
    ],
    ["syslog", { "syslog-address": "tcp+tls://[::1]:6514", "syslog-facility": "16" }],
  ] as const)
    validateLogging({ Type, Config });
});

test("limits: json-file counts in thousands, local in 1024s, with Docker's defaults", () => {
  assert.deepEqual(rotationLimits("json-file", {}), { maxSizeBytes: 0, maxFiles: 1, compress: false });
  assert.deepEqual(rotationLimits("local", {}), {
    maxSizeBytes: 20 * 1024 * 1024,
    maxFiles: 5,
    compress: true,
  });
  const sizes: [string, number, number][] = [
    ["10k", 10_000, 10_240],
    ["1.5m", 1_500_000, 1_572_864],
    ["100", 100, 100],
    ["2GB", 2_000_000_000, 2_147_483_648],
  ];
  for (const [text, thousands, binary] of sizes) {
    assert.equal(rotationLimits("json-file", { "max-size": text }).maxSizeBytes, thousands);
    assert.equal(rotationLimits("local", { "max-size": text }).maxSizeBytes, binary);
  }
  assert.equal(waitingLimit({}), undefined);
  assert.equal(waitingLimit({ mode: "non-blocking" }), 1024 * 1024);
  assert.equal(waitingLimit({ mode: "non-blocking", "max-buffer-size": "2k" }), 2048);
});

test("the daemon's options hold for its own driver", () => {
  const daemon = { Type: "json-file", Config: { "max-size": "1m", "max-file": "2" } };
  assert.deepEqual(withDaemonLogging(undefined, daemon), daemon);
  assert.deepEqual(withDaemonLogging({ Config: { "max-size": "5m" } }, daemon), {
    Type: "json-file",
    Config: { "max-size": "5m", "max-file": "2" },
  });
  assert.deepEqual(withDaemonLogging({ Type: "local" }, daemon), { Type: "local", Config: {} });
  assert.deepEqual(withDaemonLogging({}, { Type: "none" }), { Type: "none", Config: {} });
});

const container: LoggedContainer = {
  id: "0123456789abcdef0123",
  name: "web",
  imageId: "sha256:fedcba9876543210fedc",
  imageName: "nginx:1",
  command: "nginx -g x",
  createdAt: "2026-01-02T03:04:05Z",
  labels: { team: "red", "com.x.a": "1", "com.x.b": "2", other: "3" },
  env: ["A=b", "PATH=/bin", "EMPTY=", "A_B=c=d"],
};

test("labels and variables by name and by expression", () => {
  assert.deepEqual(chosenAttributes(container, {}), {});
  assert.deepEqual(chosenAttributes(container, { labels: "team,nosuch", env: "A,EMPTY" }), {
    team: "red",
    A: "b",
    EMPTY: "",
  });
  assert.deepEqual(chosenAttributes(container, { "labels-regex": "^com\\.x", "env-regex": "^A" }), {
    "com.x.a": "1",
    "com.x.b": "2",
    A: "b",
    A_B: "c=d",
  });
});

test("tags", () => {
  const cases: [string, string][] = [
    ["{{.ID}}", "0123456789ab"],
    ["{{.FullID}}/{{.Name}}", "0123456789abcdef0123/web"],
    ["{{.ImageName}} {{.ImageID}} {{.ImageFullID}}", "nginx:1 fedcba987654 sha256:fedcba9876543210fedc"],
    ["{{.DaemonName}} {{upper .Name}}", "docker WEB"],
    ["plain", "plain"],
  ];
  for (const [template, tag] of cases) assert.equal(logTag(container, template), tag);
  assert.throws(() => logTag(container, "{{.Nope}}"), /failed to initialize logging driver/);
  assert.throws(() => logTag(container, "{{"), /failed to initialize logging driver/);
});
