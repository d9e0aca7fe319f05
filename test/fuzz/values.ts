/**
 * Makes values for the API's parameters and bodies: such as fit their schema, with contents that reach far into the
 * engine, and such as do not fit at all. Every choice comes from one random source, so a seed says them all.
 */
import type { ApiDescription, Parameter, Schema } from "./operations.ts";

/** Names of things that are there, and of places that a request may use. */
export interface Pools {
  readonly containers: readonly string[];
  readonly execs: readonly string[];
  readonly images: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  /** A directory on the daemon's machine that belongs to the run: the only one that may be mounted. */
  readonly directory: string;
  readonly cgroupParent: string;
}

export type Random = () => number;

function pick<T>(random: Random, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}

/** Texts that programs stumble over. */
const strangeTexts: readonly string[] = [
  "",
  " ",
  "\0",
  "a\0b",
  "\n",
  "line\r\nInjected: header",
  "\u001b[2J",
  "../../../../etc",
  "..",
  ".",
  "-",
  "--help",
  "%",
  "%2e%2e%2f",
  "é\u0301😀",
  "\ud800",
  "a".repeat(300),
  "a".repeat(70_000),
  "a/".repeat(3_000),
  "1",
  "-1",
  "0x10",
  "1e99",
  "NaN",
  "null",
  "true",
  "{}",
  "[]",
  '{"a":',
  "__proto__",
  "constructor",
  "toString",
  "sha256:",
  `sha256:${"0".repeat(64)}`,
  "0".repeat(64),
  "host:99999/name:tag",
  "UPPER/Case",
  "a:b:c:d",
  "$(true)",
  "; true",
  "*",
  "[",
  "(a+)+$",
];

const strangeNumbers: readonly number[] = [
  0,
  -0,
  1,
  -1,
  0.5,
  2,
  7,
  100,
  255,
  256,
  65_535,
  65_536,
  2 ** 31,
  -(2 ** 31),
  2 ** 32,
  2 ** 53,
  2 ** 63,
  -(2 ** 63),
  1e21,
  1e308,
  6_291_456,
  67_108_864,
];

/** Values that make sense for a field or a parameter of this name; what is not here gets a strange text. */
const sensible: Readonly<Record<string, (pools: Pools) => readonly unknown[]>> = {
  image: ({ images }) => [...images, "missing:1"],
  fromimage: () => ["gantry/busybox", "127.0.0.1:1/nothing:1", "scratch"],
  fromsrc: () => ["-", "http://127.0.0.1:1/x.tar", "file:///etc/hostname"],
  remote: () => ["", "http://127.0.0.1:1/x.tar", "127.0.0.1:1/x.git"],
  cmd: () => [["true"], ["sleep", "2"], ["sh", "-c", "echo a; exit 3"], ["/none"], []],
  entrypoint: () => [[], [""], ["sh", "-c"], null],
  env: () => [["A=b"], ["A"], ["=x"], [""]],
  user: () => ["", "nobody", "0:0", "99999", "nobody:tty", "stranger"],
  workingdir: () => ["", "/tmp", "/new/dir", "/etc/passwd"],
  stopsignal: () => ["TERM", "SIGKILL", "9", "64"],
  signal: () => ["TERM", "KILL", "0", "9", "SIGRTMAX", "nothing"],
  t: () => [0, 1, -1],
  h: () => [24, 0, -1],
  w: () => [80, 0, 70_000],
  tail: () => ["all", "0", "5", "-5", "x"],
  since: () => [0, 1, "1700000000.5", 99_999_999_999],
  until: () => [0, 1, "1700000000.5"],
  condition: () => ["not-running", "next-exit", "removed"],
  path: ({ directory }) => ["/", "/etc", "/etc/passwd", "/none", "/proc/self/root", "/dev/null", directory],
  container: ({ containers }) => containers,
  name: ({ volumes, networks }) => ["fuzz-a", "fuzz-b", ...volumes, ...networks],
  repo: () => ["fuzz/image", "localhost/x"],
  tag: () => ["1", "latest", `sha256:${"a".repeat(64)}`],
  changes: () => ["CMD true", "ENV A=b", "FROM x", "LABEL", 'ENTRYPOINT ["'],
  platform: () => ["linux/amd64", "linux", '{"os":"linux","architecture":"amd64"}', "{}"],
  platforms: () => ['{"os":"linux","architecture":"amd64"}', "[]"],
  type: () => [
    "bind",
    "volume",
    "tmpfs",
    "image",
    "cluster",
    "none",
    "container",
    "json-file",
    "build-cache",
  ],
  driver: () => ["bridge", "local", "macvlan", "ipvlan", "host", "none", "null", "default"],
  scope: () => ["local", "swarm"],
  networkmode: ({ containers, networks }) => [
    "bridge",
    "none",
    "host",
    "default",
    ...networks,
    ...containers.map((id) => `container:${id}`),
  ],
  pidmode: ({ containers }) => ["", "container:", ...containers.map((id) => `container:${id}`)],
  ipcmode: ({ containers }) => ["private", "shareable", "none", ...containers.map((id) => `container:${id}`)],
  utsmode: () => ["", "host"],
  usernsmode: () => ["", "host"],
  cgroupnsmode: () => ["", "host", "private"],
  cgroupparent: ({ cgroupParent }) => [cgroupParent, `${cgroupParent}/deeper`],
  runtime: () => ["", "crun", "runc", "nobody"],
  binds: ({ directory, volumes }) => [
    [`${directory}:/mnt`],
    [`${directory}/new:/mnt:ro`],
    [`${volumes[0] ?? "fuzz-a"}:/data`],
    ["fuzz-a:/data:nocopy,ro"],
    [`${directory}:/a`, `${directory}:/a`],
    ["/anonymous"],
    [":"],
    ["::"],
  ],
  source: ({ directory, volumes }) => [directory, `${directory}/none`, ...volumes, ""],
  target: () => ["/mnt", "/mnt/deeper", "/", "relative", "/proc", "/dev/shm"],
  device: ({ directory }) => [directory, "tmpfs", "none"],
  mountpoint: () => [],
  o: () => ["bind", "size=1m", "bind,ro", "x=y"],
  tmpfs: () => [{ "/run": "" }, { "/run": "size=1m,mode=700" }, { "/run": "odd" }, { relative: "" }],
  exposedports: () => [{ "80/tcp": {} }, { "80-90/udp": {} }, { "x/tcp": {} }],
  portbindings: () => [
    { "80/tcp": [{ HostPort: "" }] },
    { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "0" }] },
    { "80/tcp": null },
    { "80/sctp": [{}] },
    { "80/tcp": [{ HostIp: "x" }] },
    { "0/tcp": [{ HostPort: "99999" }] },
  ],
  hostip: () => ["", "127.0.0.1", "::1", "1.2.3.4"],
  hostport: () => ["", "0", "34567", "1-5"],
  subnet: () => ["10.99.77.0/24", "10.99.78.0/30", "fd99::/64", "10.99.77.1/24", "10.99.0.0/8"],
  iprange: () => ["10.99.77.128/25", "10.1.0.0/24"],
  gateway: () => ["10.99.77.1", "10.1.1.1", "fd99::1"],
  ipv4address: () => ["10.99.77.9", "1.1.1.1", ""],
  ipv6address: () => ["fd99::9", "::", ""],
  macaddress: () => ["02:42:ac:11:00:09", "ff:ff:ff:ff:ff:ff", ""],
  dns: () => [["127.0.0.1"], ["x"], ["::1"]],
  extrahosts: () => [["a:1.2.3.4"], ["a:host-gateway"], ["a"], "a:1.2.3.4"],
  links: ({ containers }) => [containers.map((id) => `${id}:alias`), ["x"], ["a:b:c"]],
  capadd: () => [["NET_ADMIN"], ["ALL"], ["flying"]],
  capdrop: () => [["ALL"], ["NET_RAW"], [""]],
  securityopt: () => [
    ["no-new-privileges"],
    ["seccomp=unconfined"],
    ["seccomp={"],
    ["label=disable"],
    ["x=y"],
    ["a"],
  ],
  sysctls: () => [{ "net.ipv4.ip_forward": "1" }, { "kernel.pid_max": "1" }, { "net.none": "1" }, { "": "" }],
  pathonhost: () => ["/dev/null", "/dev/zero", "/dev/none", "/etc/passwd"],
  pathincontainer: () => ["/dev/x", "relative", ""],
  cgrouppermissions: () => ["rwm", "q", ""],
  cpusetcpus: () => ["0", "0-1", "x", "999", "0-"],
  cpusetmems: () => ["0", "9"],
  memory: () => [6_291_456, 33_554_432, 1, -1],
  memoryswap: () => [-1, 0, 67_108_864],
  nanocpus: () => [500_000_000, 1, 1e15],
  pidslimit: () => [10, 0, -1],
  shmsize: () => [65_536, 0, -1, 2 ** 53],
  healthcheck: () => [
    { Test: ["CMD", "true"], Interval: 1_000_000_000 },
    { Test: ["NONE"] },
    { Test: ["ODD"] },
    { Test: [] },
  ],
  maximumretrycount: () => [0, 3, -1],
  storageopt: () => [{ size: "10m" }, { odd: "x" }],
  consolesize: () => [[24, 80], [0], [-1, 5], []],
  detachkeys: () => ["ctrl-p,ctrl-q", "ctrl-", "a,b", "ctrl-@"],
  dockerfile: () => ["Dockerfile", "none", "../Dockerfile", "/etc/passwd"],
  buildargs: () => ['{"A":"b"}', '{"A":null}', "[]", "{", "null", "7"],
  labels: () => ['{"a":"b"}', "[]", "null", '{"a":1}', { a: "b" }],
  ulimits: () => [
    "[]",
    "null",
    "{}",
    "[null]",
    '[{"Name":"nofile","Soft":5,"Hard":5}]',
    [{ Name: "nofile", Soft: 9, Hard: 9 }],
  ],
  cachefrom: () => ['["x"]', "null", "{}", "7"],
  outputs: () => ['[{"type":"local"}]', "x", "type=tar"],
  version: () => ["1", "2", "3"],
  serveraddress: () => ["127.0.0.1:1", "http://127.0.0.1:1/v2/", "x y"],
  term: () => ["127.0.0.1:1/x", "a"],
  ps_args: () => ["-ef", "aux", "-o pid,comm", "-o comm", "--help", "-Z;true", "-C sh -o pid= "],
  names: ({ images }) => images,
  driveropts: ({ directory }) => [
    {},
    { type: "tmpfs", device: "tmpfs", o: "size=1m" },
    { type: "none", device: directory, o: "bind" },
    { odd: "x" },
    { type: "ext4", device: "/dev/null" },
  ],
  options: () => [
    {},
    { "com.docker.network.driver.mtu": "1400" },
    { "com.docker.network.driver.mtu": "x" },
    { "com.docker.network.bridge.name": "../../x" },
    { parent: "lo" },
    { parent: "none.99999" },
    { odd: "x" },
  ],
};

/** The keys that filters have somewhere. */
const filterKeys: readonly string[] = [
  ..."ancestor before since expose exited health id isolation is-task label label! name network publish status".split(
    " ",
  ),
  ..."volume dangling reference until driver scope type event image container daemon all unused parent".split(
    " ",
  ),
];
const filterValues: readonly string[] = [
  ..."true false running 0 x label=a a=b 10m 2006-01-02 local bridge 80/tcp 80-90 container die ^/a [ (".split(
    " ",
  ),
  "",
];

export class Values {
  readonly #random: Random;
  readonly #pools: Pools;
  readonly #definitions: ApiDescription["definitions"];

  constructor(random: Random, pools: Pools, definitions: ApiDescription["definitions"]) {
    this.#random = random;
    this.#pools = pools;
    this.#definitions = definitions;
  }

  chance(probability: number): boolean {
    return this.#random() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return pick(this.#random, values);
  }

  strangeText(): string {
    return this.pick(strangeTexts);
  }

  /** A path parameter: mostly something that is there. */
  pathSegment(path: string, name: string): string {
    const { containers, execs, images, networks, volumes } = this.#pools;
    const [, room = ""] = path.split("/");
    const living = { containers, exec: execs, images, networks, volumes, distribution: images }[room] ?? [];
    if (living.length > 0 && this.chance(0.8)) return this.pick(living);
    return this.chance(0.5) ? `nothing-${name}` : this.strangeText() || "-";
  }

  /** The text of a query parameter or header. */
  parameter(parameter: Parameter): string {
    if (parameter.name === "filters" && this.chance(0.8)) return this.filters();
    const value = this.chance(0.15) ? this.misfit(0) : this.fit(parameter, parameter.name, 0);
    return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  }

  filters(): string {
    const entries = Array.from({ length: 1 + Math.floor(this.#random() * 2) }, () => {
      const values = [this.pick(filterValues)];
      const key = this.chance(0.9) ? this.pick(filterKeys) : this.strangeText();
      return [key, this.chance(0.7) ? { [values[0]!]: true } : values];
    });
    return JSON.stringify(Object.fromEntries(entries));
  }

  /** A value of the schema's type; its content makes sense most of the time. */
  fit(schema: Schema, name: string, depth: number): unknown {
    const isText = schema.type === "string" || "in" in schema;
    const all = sensible[name.toLowerCase()]?.(this.#pools) ?? [];
    const known = all.filter((value) => (typeof value === "object" ? !isText : schema.type !== "array"));
    if (known.length > 0 && this.chance(0.85)) return this.pick(known);
    if (schema.enum !== undefined && this.chance(0.85)) return this.pick(schema.enum);
    const properties = this.propertiesOf(schema);
    if (properties !== undefined) return this.#object(properties, depth);
    const target = schema.ref === undefined ? schema : (this.#definitions[schema.ref] ?? {});
    if (target.values !== undefined) {
      const key = this.chance(0.5) ? "key" : this.strangeText();
      return { [key]: this.fit(target.values, "", depth + 1) };
    }
    if (target.type === "array")
      return Array.from({ length: Math.floor(this.#random() * 3) }, () =>
        this.fit(target.items ?? {}, "", depth + 1),
      );
    if (target.type === "boolean") return this.chance(0.5);
    if (target.type === "integer" || target.type === "number") return this.pick(strangeNumbers);
    return this.strangeText();
  }

  /** Anything but what was asked for. */
  misfit(depth: number): unknown {
    return this.pick<() => unknown>([
      () => null,
      () => this.chance(0.5),
      () => this.pick(strangeNumbers),
      () => this.strangeText(),
      () => [],
      () => ({}),
      () => (depth > 3 ? 1 : [this.misfit(depth + 1)]),
      () => (depth > 3 ? 1 : { [this.strangeText()]: this.misfit(depth + 1) }),
    ])();
  }

  /** All fields of an object schema, those it takes from others included; undefined for other schemas. */
  propertiesOf(schema: Schema): Record<string, Schema> | undefined {
    const target = schema.ref === undefined ? schema : (this.#definitions[schema.ref] ?? {});
    const parts = (target.allOf ?? []).map((part) => this.propertiesOf(part) ?? {});
    if (target.properties === undefined && parts.length === 0) return undefined;
    return Object.assign({}, ...parts, target.properties) as Record<string, Schema>;
  }

  /** Some fields of a large object, about half of a small one. */
  #object(properties: Record<string, Schema>, depth: number): Record<string, unknown> {
    const names = Object.keys(properties);
    const share = depth > 5 ? 0 : Math.min(0.5, 2 / names.length);
    const chosen = names.filter(() => this.chance(share));
    const fields = chosen.map((name) => {
      const value = this.chance(0.05) ? this.misfit(0) : this.fit(properties[name]!, name, depth + 1);
      return [name, value] as const;
    });
    return Object.fromEntries(fields);
  }
}
