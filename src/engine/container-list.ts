import { EngineError, errorText, invalidArgument } from "../base/errors.ts";
import { goQuote } from "../base/go-text.ts";
import { parseRfc3339Ns } from "../base/time.ts";
import type { ContainerRecord } from "../container/container.ts";
import { statusText } from "../container/state.ts";
import type { ContainerSummary } from "../wire/container.ts";
import type { Filters } from "../wire/system.ts";
import { networkId, sizes } from "./container-inspect.ts";
import type { EngineContext } from "./context.ts";
import { linkNames } from "./links.ts";
import type { ContainerListOptions } from "./engine.ts";
import { checkFilterKeys, filterBoolean, filterValues, matchesText, matchLabels } from "./filters.ts";
import { endpointSettings, portSummaries } from "./network-settings.ts";
import { shownMounts } from "./prepared-mounts.ts";

const filterKeys = new Set(
  "ancestor before exited expose health id is-task isolation label name network publish since status volume".split(
    " ",
  ),
);
const statuses = ["created", "restarting", "running", "removing", "paused", "exited", "dead"];

type Test = (container: ContainerRecord) => boolean;

/** Containers, newest first. Throws `invalidArgument` for a filter that is unknown or can't be read. */
export async function containerList(
  context: EngineContext,
  options: ContainerListOptions,
): Promise<ContainerSummary[]> {
  checkFilterKeys(options.filters, filterKeys);
  const tests = buildTests(context, options.filters);
  // Asking for a state, or for the last n, looks at stopped ones, too (Docker's ps -n, -l and -f status=exited);
  // asking for an exit code does not.
  const all = options.all || options.limit > 0 || filterValues(options.filters, "status").length > 0;
  let matching = context.containers
    .list()
    .filter((container) => all || isUp(container))
    .filter((container) => tests.every((test) => test(container)))
    .sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
  if (options.limit > 0) matching = matching.slice(0, options.limit);
  const shared: Shared = {
    size: options.size,
    linkNames: linkNames(context),
    imageIds: new Map(),
  };
  return Promise.all(matching.map((container) => summary(context, container, shared)));
}

function isUp(container: ContainerRecord): boolean {
  return ["running", "paused", "restarting"].includes(container.state.status);
}

/** What is looked up once for a whole list. */
interface Shared {
  readonly size: boolean;
  readonly linkNames: ReadonlyMap<string, string[]>;
  /** By reference; undefined for one that names no image any more. */
  readonly imageIds: Map<string, string | undefined>;
}

async function summary(
  context: EngineContext,
  container: ContainerRecord,
  shared: Shared,
): Promise<ContainerSummary> {
  const sandbox = context.network.get(container.id);
  return {
    Id: container.id,
    Names: [`/${container.name}`, ...(shared.linkNames.get(container.id) ?? [])],
    Image: imageName(context, container, shared),
    ImageID: container.imageId,
    Command: [container.path, ...container.args].map(shellWord).join(" "),
    Created: Math.floor(Date.parse(container.createdAt) / 1000),
    Ports: portSummaries(container, sandbox),
    ...(shared.size ? await sizes(context, container) : {}),
    Labels: container.config.Labels ?? {},
    State: container.state.status,
    Status: statusText(container.state, Date.now()),
    Health: {
      Status: container.state.health?.status ?? "none",
      FailingStreak: container.state.health?.failingStreak ?? 0,
    },
    HostConfig: { NetworkMode: container.hostConfig.NetworkMode ?? "bridge" },
    NetworkSettings: {
      Networks: endpointSettings(container, sandbox, (name) => networkId(context, name)),
    },
    Mounts: shownMounts(container.mounts),
  };
}

/** The reference it was made from while that still names the same image, else the id. */
function imageName(context: EngineContext, container: ContainerRecord, { imageIds }: Shared): string {
  const { image, imageId } = container;
  if (!imageIds.has(image)) imageIds.set(image, context.images.find(image)?.id);
  return imageIds.get(image) === imageId ? image : imageId;
}

function shellWord(word: string): string {
  return word.includes(" ") ? `'${word}'` : word;
}

function buildTests(context: EngineContext, filters: Filters): Test[] {
  const tests: Test[] = [];
  const add = (key: string, make: (values: readonly string[]) => Test): void => {
    const values = filterValues(filters, key);
    if (values.length > 0) tests.push(make(values));
  };
  add("id", (ids) => (c) => ids.some((id) => id !== "" && matchesText(c.id, id)));
  add(
    "name",
    (names) => (c) =>
      names.some((name) => matchesText(c.name, name.replace(/^\//, "")) || matchesText(`/${c.name}`, name)),
  );
  add("label", (labels) => (c) => matchLabels(c.config.Labels ?? {}, labels));
  add("status", (wanted) => {
    for (const status of wanted)
      if (!statuses.includes(status)) throw invalidArgument(`invalid filter 'status=${status}'`);
    return (c) => wanted.includes(c.state.status);
  });
  add("exited", (codes) => {
    for (const code of codes)
      if (!/^-?\d+$/.test(code)) throw invalidArgument(`invalid filter 'exited=${code}': ${atoiError(code)}`);
    return (c) => c.state.status !== "created" && !isUp(c) && codes.includes(String(c.state.exitCode));
  });
  add("ancestor", (refs) => ancestorTest(context, refs));
  add("before", ([ref = ""]) => createdTest(context, ref, (created, limit) => created < limit));
  add("since", ([ref = ""]) => createdTest(context, ref, (created, limit) => created > limit));
  add(
    "volume",
    (wanted) => (c) =>
      wanted.some((v) => c.mounts.some((m) => m.Name === v || m.Destination === v || m.Source === v)),
  );
  add(
    "network",
    (wanted) => (c) =>
      wanted.some((w) =>
        Object.keys(c.endpoints).some((name) => name === w || networkId(context, name).startsWith(w)),
      ),
  );
  add("publish", (wanted) =>
    portTest("publish", wanted, (c) =>
      portSummaries(c, context.network.get(c.id)).flatMap((p) =>
        p.PublicPort === undefined ? [] : [{ port: p.PublicPort, protocol: p.Type }],
      ),
    ),
  );
  add("expose", (wanted) =>
    portTest("expose", wanted, (c) =>
      portSummaries(c, context.network.get(c.id)).map((p) => ({ port: p.PrivatePort, protocol: p.Type })),
    ),
  );
  add("health", (wanted) => {
    for (const status of wanted)
      if (!["starting", "healthy", "unhealthy", "none"].includes(status))
        throw invalidArgument(`unrecognized filter value for health: ${status}`);
    return (c) => wanted.includes(c.state.health?.status ?? "none");
  });
  const isTask = filterBoolean(filters, "is-task");
  if (isTask !== undefined) tests.push(() => !isTask);
  return tests;
}

function ancestorTest(context: EngineContext, references: readonly string[]): Test {
  const images = references.flatMap((reference) => context.images.find(reference) ?? []);
  const ids = new Set(images.map((image) => image.id));
  // An image made from another shares all of its layers: it descends from it.
  const stacks = images.map((image) => image.config.rootfs.diff_ids);
  return (container) => {
    if (ids.has(container.imageId)) return true;
    const layers = context.images.byId(container.imageId)?.config.rootfs.diff_ids ?? [];
    return stacks.some((stack) => stack.length > 0 && stack.every((diffId, i) => layers[i] === diffId));
  };
}

function createdTest(
  context: EngineContext,
  reference: string,
  holds: (created: bigint, limit: bigint) => boolean,
): Test {
  let limit: bigint | undefined;
  try {
    limit = parseRfc3339Ns(context.containers.resolve(reference).createdAt);
  } catch (error) {
    if (error instanceof EngineError && error.kind === "notFound") throw error;
    throw invalidArgument(`invalid filter 'before/since=${reference}'`, { cause: error });
  }
  return (container) => holds(parseRfc3339Ns(container.createdAt) ?? 0n, limit ?? 0n);
}

/** What Go's `strconv.Atoi` says of what is no number. */
const atoiError = (text: string): string => `strconv.Atoi: parsing ${goQuote(text)}: invalid syntax`;

/** One end of a range of ports. Throws `Error` in the words of Go's `strconv.ParseUint`. */
function portNumber(text: string): number {
  if (!/^\d+$/.test(text)) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: invalid syntax`);
  const port = Number(text);
  if (port > 65_535) throw new Error(`strconv.ParseUint: parsing ${goQuote(text)}: value out of range`);
  return port;
}

function portRange(text: string): readonly [first: number, last: number] {
  if (text === "") throw new Error("Empty string specified for ports.");
  const [from = "", to = from] = text.split("-");
  const [first, last] = [portNumber(from), portNumber(to)];
  if (last < first) throw new Error(`Invalid range specified for the Port: ${text}`);
  return [first, last];
}

/** Values are `80`, `80/udp` or `8000-8080/tcp`. */
function portTest(
  key: string,
  wanted: readonly string[],
  portsOf: (container: ContainerRecord) => { port: number; protocol: string }[],
): Test {
  const ranges = wanted.map((text) => {
    const [range = "", protocol = "tcp"] = text.split("/");
    try {
      const [first, last] = portRange(range);
      return { first, last, protocol };
    } catch (error) {
      throw invalidArgument(`error while looking up for ${key} ${text}: ${errorText(error)}`);
    }
  });
  return (container) =>
    portsOf(container).some(({ port, protocol }) =>
      ranges.some((range) => port >= range.first && port <= range.last && protocol === range.protocol),
    );
}
