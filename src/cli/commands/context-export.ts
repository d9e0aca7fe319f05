import { writeFileSync } from "node:fs";
import { isatty } from "node:tty";
import { tarEnd, tarHeader, tarPadding } from "../../oci/tar-writer.ts";
import type { Command, CommandContext } from "../command.ts";
import { ContextStore, type ContextMeta } from "../context-store.ts";
import { copiedEndpoint } from "../docker-endpoint.ts";
import { CliError } from "../errors.ts";
import { FdWriter } from "../fd-writer.ts";
import { goFileError } from "../run/key-value-file.ts";

const command: Command = {
  path: "context export",
  usage: "CONTEXT [FILE|-]",
  short: "Write a context, with its certificates, to a tar archive (CONTEXT.dockercontext) or to STDOUT",
  flags: [],
  args: { min: 1, max: 2 },
  async run(context, parsed) {
    const [name = "", file = `${name}.dockercontext`] = parsed.positional;
    const store = new ContextStore(context.configDirectory);
    const entries: [string, Buffer][] = [
      ["meta.json", Buffer.from(JSON.stringify(metaOf(context, store, name)))],
    ];
    for (const [path, content] of Object.entries(copiedEndpoint(context, store, name).tls))
      entries.push([`tls/docker/${path}`, content]);
    if (file === "-" && isatty(1))
      throw new CliError("cowardly refusing to export to a terminal, specify a file path");
    const archive = archiveOf(entries);
    if (file === "-") {
      await new FdWriter(1).write(archive);
      return 0;
    }
    try {
      writeFileSync(file, archive, { mode: 0o600, flag: "wx" });
    } catch (error) {
      throw new CliError(goFileError("open", file, error), 1, { cause: error });
    }
    context.printError(`Written file "${file}"`);
    return 0;
  },
};

export default command;

/** The default context is made of what flags and environment say now. */
function metaOf(context: CommandContext, store: ContextStore, name: string): ContextMeta {
  if (name !== "default") return store.get(name);
  const { endpoint } = copiedEndpoint(context, store, name);
  return { Name: name, Metadata: {}, Endpoints: { docker: endpoint } };
}

function archiveOf(entries: readonly [string, Buffer][]): Buffer {
  const parts: Buffer[] = [];
  const directories = entries.length > 1 ? ["tls/", "tls/docker/"] : [];
  const add = (name: string, content: Buffer): void => {
    parts.push(tarHeader({ name, type: "file", mode: 0o644, sizeBytes: content.length }));
    parts.push(content, tarPadding(content.length));
  };
  add(...entries[0]!);
  for (const name of directories) parts.push(tarHeader({ name, type: "directory", mode: 0o700 }));
  for (const entry of entries.slice(1)) add(...entry);
  return Buffer.concat([...parts, tarEnd()]);
}
