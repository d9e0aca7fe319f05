import { createReadStream } from "node:fs";
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
    const { meta, tls } = await readArchive(file === "-" ? context.stdin : createReadStream(file));
    store.put({ ...meta, Name: name });
    if (Object.keys(tls).length > 0) store.putTls(name, tls);
    context.print(`${name}\n`);
    context.printError(`Successfully imported context "${name}"`);
    return 0;
  },
};

export default command;

async function readArchive(source: AsyncIterable<Buffer>): Promise<{ meta: ContextMeta; tls: TlsFiles }> {
  let meta: ContextMeta | undefined;
  const tls: TlsFiles = {};
  let total = 0;
  const reader = new TarReader(source);
  for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
    if (entry.type !== "file") continue;
    const parts: Buffer[] = [];
    for (let part = await reader.read(); part !== undefined; part = await reader.read()) {
      total += part.length;
      if (total > maxBytes) throw new CliError("the archive is larger than a context can be (10 MB)");
      parts.push(Buffer.from(part));
    }
    const content = Buffer.concat(parts);
    if (entry.name === "meta.json") meta = parseMeta(content.toString());
    else {
      const known = tlsFileNames.find((file) => entry.name === `tls/docker/${file}`);
      if (known === undefined) throw new CliError(`unexpected context file: ${entry.name}`);
      tls[known] = content;
    }
  }
  if (meta === undefined) throw new CliError("invalid context: no metadata found");
  return { meta, tls };
}
