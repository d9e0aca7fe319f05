import { PassThrough } from "node:stream";
import { settle } from "../../../compose/dependency-order.ts";
import type { Observed, Session } from "../../../compose/engine.ts";
import { ComposeError } from "../../../compose/errors.ts";
import { reportFailure } from "../../../compose/progress.ts";
import { composeCommand, indexFlag, type ComposeApp } from "../app.ts";
import { containersOf } from "../containers.ts";
import { boolWords, delegate } from "../delegate.ts";

export default composeCommand({
  name: "cp",
  usage:
    "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n       gantry compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
  short: "Copy files between containers of a service and this machine",
  examples: [
    ["gantry compose cp ./site/. web:/srv", "what is in a directory, into every container of a service"],
    ["gantry compose cp --index 2 web:/var/log .", "out of the second container; the first one unless told"],
    ["gantry compose cp db:/dump - | tar -t", "a tar archive on standard output"],
  ],
  args: { min: 2, max: 2 },
  completes: "services",
  flags: [
    { name: "all", type: "bool", help: "Copy to every container of the service, those of run too" },
    { name: "archive", short: "a", type: "bool", help: "Keep user and group of what is copied" },
    { name: "follow-link", short: "L", type: "bool", help: "Copy what a link in SRC_PATH leads to" },
    indexFlag,
  ],
  async run(app, parsed) {
    const [source = "", target = ""] = parsed.positional;
    const copy = readCopy(source, target);
    if (parsed.bool("all") && !copy.isIn)
      throw new ComposeError("cannot use the --all flag when copying from a service");
    const wanted = await wantedContainers(app, copy, {
      index: parsed.number("index"),
      isAll: parsed.bool("all"),
    });
    const flags = [
      ...boolWords("archive", parsed.bool("archive")),
      ...boolWords("follow-link", parsed.bool("follow-link")),
      "--quiet",
    ];
    if (app.isDryRun) {
      const lines = wanted.map(({ name }) => `Container ${name}  ${describe(copy, name)}\n`);
      app.context.print(lines.join(""));
      return 0;
    }
    await app.during("Copying", async (session) => {
      const input = inputs(app, copy, wanted.length);
      const work = wanted.map((container, at) => {
        const run = (): Promise<void> => copyOne(app, session, { copy, container, flags, stdin: input[at] });
        // What comes on standard input goes to all at the same time.
        return input.length > 0 ? run() : session.limit(run);
      });
      await settle(work);
    });
    return 0;
  },
});

/** What is to be copied, and which way. */
interface Copy {
  readonly service: string;
  /** Into the containers, out of one otherwise. */
  readonly isIn: boolean;
  /** The path in the container. */
  readonly inside: string;
  /** The path of this machine, or `-`. */
  readonly outside: string;
}

function readCopy(source: string, target: string): Copy {
  if (source === "") throw new ComposeError("source can not be empty");
  if (target === "") throw new ComposeError("destination can not be empty");
  const [from, to] = [serviceOf(source), serviceOf(target)];
  if (from !== undefined && to !== undefined)
    throw new ComposeError("copying between services is not supported");
  const service = from ?? to;
  if (service === undefined)
    throw new ComposeError("unknown copy direction: name a service, as in web:/path");
  const inside = (text: string): string => text.slice(service.length + 1);
  return from === undefined
    ? { service, isIn: true, inside: inside(target), outside: source }
    : { service, isIn: false, inside: inside(source), outside: target };
}

/** The service of `SERVICE:PATH`; undefined for a path of this machine. */
function serviceOf(text: string): string | undefined {
  if (/^[./]/.test(text)) return undefined;
  const colon = text.indexOf(":");
  return colon > 0 ? text.slice(0, colon) : undefined;
}

/** Into all of a service's containers, out of the first. */
async function wantedContainers(
  app: ComposeApp,
  { service, isIn }: Copy,
  { index, isAll }: { readonly index: number; readonly isAll: boolean },
): Promise<readonly Observed[]> {
  const oneOff = isAll ? "include" : "exclude";
  const { containers } = await containersOf(app, [service], { oneOff });
  const numbered = containers.filter(({ number }) => index === 0 || number === index);
  if (numbered.length === 0)
    throw new ComposeError(
      index > 0
        ? `service "${service}" is not running container #${index}`
        : `no container found for service "${service}"`,
    );
  return isIn ? numbered : numbered.slice(0, 1);
}

/** What is copied, in the words of Docker Compose. */
function describe({ isIn, inside, outside }: Copy, name: string): string {
  const place = `${name}:${inside}`;
  return isIn ? `copy ${outside} to ${place}` : `copy ${place} to ${outside}`;
}

/** What comes on standard input, for each of the containers. */
function inputs(app: ComposeApp, { isIn, outside }: Copy, count: number): PassThrough[] {
  if (!isIn || outside !== "-") return [];
  const streams = Array.from({ length: count }, () => new PassThrough());
  for (const stream of streams) app.context.stdin.pipe(stream);
  return streams;
}

interface OneCopy {
  readonly copy: Copy;
  readonly container: Observed;
  readonly flags: readonly string[];
  readonly stdin: PassThrough | undefined;
}

async function copyOne(
  app: ComposeApp,
  { report }: Session,
  { copy, container: { id, name }, flags, stdin }: OneCopy,
): Promise<void> {
  const what = describe(copy, name);
  const place = `${id}:${copy.inside}`;
  const words = [...flags, ...(copy.isIn ? [copy.outside, place] : [place, copy.outside])];
  report({ id: name, what, kind: "working", text: "Copying" });
  try {
    const context =
      stdin === undefined ? app.context : { ...app.context, stdin: stdin as unknown as NodeJS.ReadStream };
    await delegate(app, () => import("../../commands/cp.ts"), words, context);
    report({ id: name, what, kind: "done", text: "Copied" });
  } catch (error) {
    reportFailure(report, name, error);
    throw error;
  } finally {
    // One that takes no more does not keep the others waiting.
    stdin?.destroy();
  }
}
