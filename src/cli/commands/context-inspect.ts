import type { Command, CommandContext } from "../command.ts";
import { ContextStore } from "../context-store.ts";
import { copiedEndpoint } from "../docker-endpoint.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { inspectPrinter } from "../output/inspect.ts";

const command: Command = {
  path: "context inspect",
  usage: "[OPTIONS] [CONTEXT] [CONTEXT...]",
  short: "Show everything about contexts",
  flags: [singleFormatFlag],
  args: { min: 0 },
  async run(context, parsed) {
    const printer = inspectPrinter(parsed.string("format"));
    const names = parsed.positional.length === 0 ? [context.contextName()] : parsed.positional;
    const found: object[] = [];
    let failure: unknown;
    for (const name of names) {
      try {
        found.push(inspected(context, name));
      } catch (error) {
        failure = error;
        break;
      }
    }
    // What was found before is shown, too.
    const text = printer.print(found);
    const isJson = ["", "json"].includes(parsed.string("format"));
    // Docker's marshals these itself, and Go then writes what means something in HTML by its number.
    const escaped = (char: string): string => `\\u00${char.charCodeAt(0).toString(16)}`;
    context.print(isJson ? text.replace(/[<>&]/g, escaped) : text);
    if (failure !== undefined) throw failure;
    return 0;
  },
};

export default command;

function inspected(context: CommandContext, name: string): object {
  const store = new ContextStore(context.configDirectory);
  const { endpoint, tls } = copiedEndpoint(context, store, name);
  const files = Object.keys(tls);
  const isDefault = name === "default";
  const meta = isDefault ? undefined : store.get(name);
  return {
    Name: name,
    Metadata: meta?.Metadata ?? {},
    Endpoints: { ...meta?.Endpoints, docker: endpoint },
    TLSMaterial: files.length === 0 ? {} : { docker: files },
    Storage: isDefault
      ? { MetadataPath: "<IN MEMORY>", TLSPath: "<IN MEMORY>" }
      : { MetadataPath: store.metaPath(name), TLSPath: store.tlsPath(name) },
  };
}
