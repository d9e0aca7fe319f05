import { lstatSync, readlinkSync, realpathSync, statSync } from "node:fs";
import { posix, resolve } from "node:path";
import { ClientError } from "../../client/errors.ts";
import type { PathStat } from "../../wire/container.ts";
import type { Command, CommandContext } from "../command.ts";
import { packLocal, unpackLocal } from "../copy/local-archive.ts";
import {
  assertsDirectory,
  type CopyEnd,
  followed,
  hasTrailingSlash,
  keepEnding,
  planCopy,
  splitArgument,
  splitPath,
} from "../copy/paths.ts";
import { CliError } from "../errors.ts";
import { FdWriter } from "../fd-writer.ts";
import { humanSize } from "../output/humanize.ts";
import type { ParsedArguments } from "../parser.ts";

const command: Command = {
  path: "cp",
  aliases: ["container cp"],
  usage:
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n       gantry cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
  short: "Copy files between a container and this machine",
  long:
    "Copies files or directories between a container, running or not, and this machine. `-` as the source reads a " +
    "tar archive from standard input and unpacks it in a directory of the container; as the destination it writes " +
    "a tar archive to standard output.",
  examples: [
    ["gantry cp web:/etc/nginx/nginx.conf .", "Copy one file out of a container"],
    ["gantry cp ./site/. web:/usr/share/nginx/html", "Copy what is in a directory into one"],
    ["gantry cp web:/var/log - | tar -t", "List what would be copied"],
  ],
  section: "other",
  flags: [
    { name: "archive", short: "a", type: "bool", help: "Keep user and group of what is copied" },
    { name: "follow-link", short: "L", type: "bool", help: "Copy what a link in SRC_PATH leads to" },
    { name: "quiet", short: "q", type: "bool", help: "Do not say what was copied" },
  ],
  args: { min: 2, max: 2 },
  completes: "containers",
  async run(context, parsed) {
    const [first = "", second = ""] = parsed.positional;
    const [source, target] = [splitArgument(first), splitArgument(second)];
    const isNamed = (end: typeof source): boolean => (end.container ?? "") !== "";
    if (!isNamed(source) && !isNamed(target))
      throw new CliError("must specify at least one container source");
    if (source.container !== undefined && target.container !== undefined)
      throw new CliError("copying between containers is not supported");
    if (source.container !== undefined)
      await copyOut(context, parsed, {
        container: source.container,
        source: source.path,
        target: target.path,
      });
    else
      await copyIn(context, parsed, {
        container: target.container ?? "",
        source: source.path,
        target: target.path,
      });
    return 0;
  },
};

export default command;

interface Copy {
  readonly container: string;
  readonly source: string;
  readonly target: string;
}

const directoryBit = 2 ** 31;
const linkBit = 2 ** 27;
const hasBit = (stat: PathStat, bit: number): boolean => Math.floor(stat.mode / bit) % 2 === 1;

async function copyOut(context: CommandContext, parsed: ParsedArguments, copy: Copy): Promise<void> {
  const { container } = copy;
  const target = copy.target === "-" ? "-" : absolute(copy.target);
  if (target !== "-") checkOutputPath(target);
  const wanted = parsed.bool("follow-link")
    ? await followInContainer(context, container, copy.source)
    : { path: copy.source };
  const { stat, archive } = await context.client.containerArchive(container, wanted.path);
  if (target === "-") {
    const writer = new FdWriter(1);
    for await (const chunk of archive as AsyncIterable<Buffer>) await writer.write(chunk);
    return;
  }
  const counted = new Counter(archive as AsyncIterable<Buffer>);
  try {
    const source: CopyEnd = { ...wanted, exists: true, isDirectory: hasBit(stat, directoryBit) };
    // The archive bears the last name of the path it was made of.
    const rebaseName = splitPath(wanted.path).base;
    const plan = planCopy({ ...source, rebaseName }, localTarget(target));
    const rebase =
      plan.rebase ??
      (wanted.rebaseName === undefined ? undefined : { from: rebaseName, to: wanted.rebaseName });
    const keepOwners = parsed.bool("archive") && process.getuid?.() === 0;
    await unpackLocal(counted, { directory: plan.directory, rebase, keepOwners });
  } finally {
    archive.destroy();
  }
  tellSuccess(context, parsed, `${humanSize(counted.bytes)} to ${target}`);
}

async function copyIn(context: CommandContext, parsed: ParsedArguments, copy: Copy): Promise<void> {
  const { container } = copy;
  const target = await containerTarget(context, container, copy.target);
  const options = { noOverwriteDirNonDir: true, copyUidGid: parsed.bool("archive") };
  if (copy.source === "-") {
    if (!target.isDirectory)
      throw new CliError(`destination "${container}:${copy.target}" must be a directory`);
    await context.client.containerExtract(container, target.path, context.stdin, options);
    return;
  }
  const source = localSource(absolute(copy.source), parsed.bool("follow-link"));
  const plan = planCopy(source, target);
  const name = plan.rebase?.to ?? source.rebaseName ?? splitPath(source.path).base;
  const counted = new Counter(packLocal(source.path, name));
  await context.client.containerExtract(container, plan.directory, counted, options);
  tellSuccess(context, parsed, `${humanSize(counted.bytes)} to ${container}:${target.path}`);
}

function tellSuccess(context: CommandContext, parsed: ParsedArguments, what: string): void {
  // As Docker's: nothing in a script, unless --quiet=false asks for it.
  const isQuiet = parsed.changed("quiet") ? parsed.bool("quiet") : !context.stdout.isTTY;
  if (!isQuiet) context.printError(`Successfully copied ${what}`);
}

/** Passes chunks on and counts their bytes. */
class Counter implements AsyncIterable<Buffer> {
  bytes = 0;
  readonly #source: AsyncIterable<Buffer>;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    for await (const chunk of this.#source) {
      this.bytes += chunk.length;
      yield chunk;
    }
  }
}

async function followInContainer(
  context: CommandContext,
  container: string,
  path: string,
): Promise<{ path: string; rebaseName?: string }> {
  const stat = await statIfThere(context, container, path);
  if (stat === undefined || !hasBit(stat, linkBit)) return { path };
  return followed(path, posix.resolve(posix.dirname(posix.join("/", path)), stat.linkTarget));
}

/** Where a copy in ends: what the path, links followed, is in the container. */
async function containerTarget(context: CommandContext, container: string, path: string): Promise<CopyEnd> {
  if (path === "") throw new CliError("no such directory");
  let target = path;
  let stat = await statIfThere(context, container, target);
  if (stat !== undefined && hasBit(stat, linkBit)) {
    target = posix.resolve(posix.dirname(posix.join("/", path)), stat.linkTarget);
    stat = await statIfThere(context, container, target);
  }
  if (stat === undefined) return { path: target, exists: false, isDirectory: false };
  const isDirectory = hasBit(stat, directoryBit);
  // Everything between a directory and setuid says "no regular file".
  if (!isDirectory && Math.floor(stat.mode / 2 ** 24) !== 0)
    throw new CliError(`destination "${container}:${path}" must be a directory or a regular file`);
  return { path: target, exists: true, isDirectory };
}

/** Undefined when nothing is there; an unknown container is an error. */
async function statIfThere(
  context: CommandContext,
  container: string,
  path: string,
): Promise<PathStat | undefined> {
  try {
    return await context.client.containerStatPath(container, path);
  } catch (error) {
    if (!(error instanceof ClientError) || error.status !== 404) throw error;
    // The answer to HEAD has no body that could say what is missing.
    await context.client.containerInspect(container);
    return undefined;
  }
}

const absolute = (path: string): string => keepEnding(resolve(path), path);

function checkOutputPath(path: string): void {
  const directory = posix.dirname(path.replace(/(?<=.)\/+$/, ""));
  if (statSync(directory, { throwIfNoEntry: false }) === undefined)
    throw new CliError(`invalid output path: directory ${JSON.stringify(directory)} does not exist`);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory() && !stat.isFile())
    throw new CliError(`invalid output path: ${JSON.stringify(path)} must be a directory or a regular file`);
}

function localTarget(path: string): CopyEnd {
  const stat = statSync(path.replace(/(?<=.)\/+$/, ""), { throwIfNoEntry: false });
  if (stat === undefined) {
    // A link that leads to nothing: what it leads to is made.
    const led = missingPart(path);
    if (led !== path) return localTarget(keepEnding(led, path));
    const { directory } = splitPath(path);
    const parent = statSync(directory, { throwIfNoEntry: false });
    if (parent?.isDirectory() !== true) throw new CliError(`${directory}: not a directory`);
    return { path, exists: false, isDirectory: false };
  }
  if (!stat.isDirectory() && assertsDirectory(path)) throw new CliError(`${path}: not a directory`);
  const isLink = lstatSync(path.replace(/(?<=.)\/+$/, "")).isSymbolicLink();
  return {
    path: isLink ? keepEnding(realpathSync(path), path) : path,
    exists: true,
    isDirectory: stat.isDirectory(),
  };
}

/** What is not there: the path itself, or where it leads as a link. */
function missingPart(path: string): string {
  const plain = path.replace(/(?<=.)\/+$/, "");
  const isLink = lstatSync(plain, { throwIfNoEntry: false })?.isSymbolicLink() === true;
  return isLink ? posix.resolve(posix.dirname(plain), readlinkSync(plain)) : path;
}

/** A source here. Links in front of its last part are followed, one at the end only when asked or with a slash after it. */
function localSource(path: string, followLink: boolean): CopyEnd {
  try {
    const plain = path.replace(/(?<=.)\/+$/, "");
    const isLink = lstatSync(plain).isSymbolicLink();
    const mustFollow = followLink || hasTrailingSlash(path);
    const end = isLink && mustFollow ? followed(path, realpathSync(plain)) : { path };
    const stat = isLink && !mustFollow ? lstatSync(plain) : statSync(plain);
    if (!stat.isDirectory() && assertsDirectory(path)) throw new CliError(`stat ${path}: not a directory`);
    return { ...end, exists: true, isDirectory: stat.isDirectory() };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new CliError(`lstat ${missingPart(path)}: no such file or directory`);
    if (code === "ENOTDIR") throw new CliError(`lstat ${path}: not a directory`);
    throw error;
  }
}
