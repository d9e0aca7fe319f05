import { createReadStream, openSync } from "node:fs";
import { Readable } from "node:stream";
import { TarReader } from "../../oci/tar-reader.ts";
import type { Command } from "../command.ts";
import {
  checkContextName,
  type ContextMeta,
  ContextStore,
  parseMeta,
  type TlsFiles,
  tlsFileNames,
} from "../context-store.ts";
import { CliError } from "../errors.ts";
import { goFileError } from "../run/key-value-file.ts";
import { isZip, readZip, type ZipFile } from "../zip-archive.ts";

/** Docker's limit for an archive of a context. */
const maxBytes = 10 * 1024 * 1024;

const command: Command = {
  path: "context import",
  usage: "CONTEXT FILE|-",
  short: "Make a context of an archive that context export wrote",
  flags: [],
  args: { min: 2, max: 2 },
  async run(context, parsed) {
    const [name = "", file = ""] = parsed.positional;
    checkContextName(name);
    const store = new ContextStore(context.configDirectory);
    if (store.has(name)) throw new CliError(`context "${name}" already exists`);
    const archive = await readAll(file === "-" ? context.stdin : openArchive(file));
    const { meta, tls } = contextOf(isZip(archive) ? readZip(archive, maxBytes) : await tarFiles(archive));
    store.put({ ...meta, Name: name });
    if (Object.keys(tls).length > 0) store.putTls(name, tls);
    context.print(`${name}\n`);
    context.printError(`Successfully imported context "${name}"`);
    return 0;
  },
};

export default command;

function openArchive(file: string): AsyncIterable<Buffer> {
  try {
    return createReadStream(file, { fd: openSync(file, "r") });
  } catch (error) {
    throw new CliError(goFileError("open", file, error), 1, { cause: error });
  }
}

async function readAll(source: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = [];
  let total = 0;
  for await (const part of source) {
    total += part.length;
    if (total > maxBytes) throw new CliError("the archive is larger than a context can be (10 MB)");
    parts.push(part);
  }
  return Buffer.concat(parts);
}

async function tarFiles(archive: Buffer): Promise<ZipFile[]> {
  const files: ZipFile[] = [];
  const reader = new TarReader(Readable.from([archive]));
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    if (entry.type !== "file") continue;
    const parts: Buffer[] = [];
    for (let part = await reader.read(); part !== undefined; part = await reader.read())
      parts.push(Buffer.from(part));
    files.push({ name: entry.name, content: Buffer.concat(parts) });
  }
  return files;
}

function contextOf(files: readonly ZipFile[]): { meta: ContextMeta; tls: TlsFiles } {
  let meta: ContextMeta | undefined;
  const tls: TlsFiles = {};
  for (const { name, content } of files) {
    if (name === "meta.json") {
      meta = parseMeta(content.toString());
      continue;
    }
    const known = tlsFileNames.find((file) => name === `tls/docker/${file}`);
    if (known === undefined) throw new CliError(`${name}: unexpected context file`);
    tls[known] = content;
  }
  if (meta === undefined) throw new CliError("invalid context: no metadata found");
  return { meta, tls };
}
