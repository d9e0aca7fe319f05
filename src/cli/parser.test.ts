import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "./errors.ts";
import type { FlagSpec } from "./flags.ts";
import { parseArguments } from "./parser.ts";

const flags: readonly FlagSpec[] = [
  { name: "tty", short: "t", type: "bool", help: "" },
  { name: "interactive", short: "i", type: "bool", help: "" },
  { name: "detach", short: "d", type: "bool", help: "" },
  { name: "sig-proxy", type: "bool", default: true, help: "" },
  { name: "env", short: "e", type: "list", help: "" },
  { name: "publish", short: "p", type: "list", help: "" },
  { name: "name", type: "string", help: "" },
  { name: "memory", short: "m", type: "bytes", help: "" },
  { name: "cpus", type: "decimal", help: "" },
  { name: "pids-limit", type: "int", help: "" },
  { name: "blkio-weight", type: "uint16", help: "" },
  { name: "health-interval", type: "duration", help: "" },
  { name: "sysctl", type: "map", help: "" },
  { name: "filter", short: "f", type: "filter", help: "" },
  { name: "platform", type: "strings", help: "" },
  { name: "network", type: "string", help: "" },
  { name: "net", type: "string", hidden: true, aliasOf: "network", help: "" },
  { name: "gpus", type: "string", help: "", refused: "there is none" },
  { name: "trust", type: "bool", default: true, help: "", refused: "there is none" },
];

const parse = (line: string, stop = true): ReturnType<typeof parseArguments> =>
  parseArguments(line === "" ? [] : line.split(" "), flags, { stopAtFirstArgument: stop });

test("short flags combine, take values glued or apart", () => {
  const parsed = parse("-ti -eFOO=1 -e BAR=2 -e=BAZ=3 -p80:80 -m 512m busybox -e X");
  assert.equal(parsed.bool("tty"), true);
  assert.equal(parsed.bool("interactive"), true);
  assert.deepEqual(parsed.list("env"), ["FOO=1", "BAR=2", "BAZ=3"]);
  assert.deepEqual(parsed.list("publish"), ["80:80"]);
  assert.equal(parsed.number("memory"), 512 * 1024 * 1024);
  assert.deepEqual(parsed.positional, ["busybox", "-e", "X"]);
});

test("a bool takes its value only after an equals sign", () => {
  assert.equal(parse("-d=false x").bool("detach"), false);
  assert.equal(parse("-d=false x").changed("detach"), true);
  assert.equal(parse("--detach=1 x").bool("detach"), true);
  assert.deepEqual(parse("-d false").positional, ["false"]);
  assert.equal(parse("x").bool("sig-proxy"), true);
  assert.equal(parse("--sig-proxy=false").bool("sig-proxy"), false);
  assert.equal(parse("-tid=0").bool("detach"), false);
});

test("flags go on after arguments unless the command stops at the first", () => {
  assert.deepEqual(parse("a --name n b", false).positional, ["a", "b"]);
  assert.deepEqual(parse("a --name n b").positional, ["a", "--name", "n", "b"]);
  assert.deepEqual(parse("-t -- --name n").positional, ["--name", "n"]);
  assert.deepEqual(parse("- -t", false).positional, ["-"]);
});

test("types of values", () => {
  assert.equal(parse("--cpus 1.5").number("cpus"), 1_500_000_000);
  assert.equal(parse("--cpus 1/4").number("cpus"), 250_000_000);
  assert.equal(parse("--pids-limit -1").number("pids-limit"), -1);
  assert.equal(parse("--pids-limit 0x10").number("pids-limit"), 16);
  assert.equal(parse("--health-interval 1m30s").number("health-interval"), 90e9);
  assert.equal(parse("-m 1.5GiB").number("memory"), 1.5 * 1024 ** 3);
  assert.equal(parse("-m -1").number("memory"), -1);
  assert.deepEqual(parse("--sysctl a=1 --sysctl b").map("sysctl"), { a: "1", b: "" });
  assert.deepEqual(parse("-f name=x -f name=y -f Label=a=b").filters("filter"), {
    name: ["x", "y"],
    label: ["a=b"],
  });
  assert.deepEqual(parse('--platform a,"b,c" --platform d').list("platform"), ["a", "b,c", "d"]);
  assert.equal(parse("--net host").string("network"), "host");
});

test("what is not given has its default", () => {
  const parsed = parse("");
  assert.equal(parsed.string("name"), "");
  assert.equal(parsed.number("memory"), 0);
  assert.deepEqual(parsed.list("env"), []);
  assert.deepEqual(parsed.map("sysctl"), {});
  assert.equal(parsed.changed("name"), false);
  assert.throws(() => parsed.string("nothing"), /has no flag --nothing/);
});

test("help wins over what comes after it", () => {
  assert.equal(parse("--help --foo").helpWanted, true);
  assert.equal(parse("-h").helpWanted, true);
  assert.equal(parse("x --help").helpWanted, false);
});

const mistakes: readonly [line: string, message: string][] = [
  ["--foo", "unknown flag: --foo"],
  ["--foo=1", "unknown flag: --foo"],
  ["-x", "unknown shorthand flag: 'x' in -x"],
  ["-txy", "unknown shorthand flag: 'x' in -xy"],
  ["--name", "flag needs an argument: --name"],
  ["-te", "flag needs an argument: 'e' in -e"],
  ["--=x", "bad flag syntax: --=x"],
  ["-m x", 'invalid argument "x" for "-m, --memory" flag: invalid size: \'x\''],
  ["-m=12z", 'invalid argument "12z" for "-m, --memory" flag: invalid suffix: \'z\''],
  ["--cpus x", 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number'],
  ["--cpus 1.00000000005", 'invalid argument "1.00000000005" for "--cpus" flag: value is too precise'],
  [
    "--pids-limit x",
    'invalid argument "x" for "--pids-limit" flag: strconv.ParseInt: parsing "x": invalid syntax',
  ],
  [
    "--blkio-weight 70000",
    'invalid argument "70000" for "--blkio-weight" flag: strconv.ParseUint: parsing "70000": value out of range',
  ],
  ["-d=x", 'invalid argument "x" for "-d, --detach" flag: strconv.ParseBool: parsing "x": invalid syntax'],
  [
    "--health-interval 5",
    'invalid argument "5" for "--health-interval" flag: time: missing unit in duration "5"',
  ],
  [
    "--health-interval 5x",
    'invalid argument "5x" for "--health-interval" flag: time: unknown unit "x" in duration "5x"',
  ],
  ["--health-interval x", 'invalid argument "x" for "--health-interval" flag: time: invalid duration "x"'],
  ["-f x", 'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)'],
  ["--gpus all", "--gpus is not served by gantry: there is none"],
  ["--trust=false", "--trust is not served by gantry: there is none"],
];

for (const [line, message] of mistakes) {
  test(`refuses ${line}`, () => {
    assert.throws(() => parse(line), new UsageError(message, 125));
  });
}

test("a refused flag with its default value changes nothing and passes", () => {
  assert.equal(parse("--trust=true").bool("trust"), true);
});
