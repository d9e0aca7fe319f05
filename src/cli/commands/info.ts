import type { SystemInfo } from "../../wire/system.ts";
import type { Command } from "../command.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { infoText, type ClientInfo } from "../output/info.ts";
import { gantryVersion } from "../version-number.ts";

const command: Command = {
  path: "info",
  aliases: ["system info"],
  usage: "[OPTIONS]",
  short: "Show what the daemon is made of and how much it holds",
  section: "common",
  args: { min: 0, max: 0 },
  flags: [singleFormatFlag],
  async run(context, parsed) {
    const client: ClientInfo = { Version: gantryVersion, Context: "default", Debug: false };
    const format = parsed.string("format");
    const print = format === "" ? infoText : await templatePrinter(format);
    let server: SystemInfo | undefined;
    let failure: unknown;
    try {
      server = await context.client.info();
    } catch (error) {
      failure = error;
    }
    if (server !== undefined || format === "") context.print(print(client, server));
    if (failure !== undefined) throw failure;
    for (const warning of (server?.["Warnings"] ?? []) as string[]) context.printError(warning);
    return 0;
  },
};

async function templatePrinter(
  format: string,
): Promise<(client: ClientInfo, server: SystemInfo | undefined) => string> {
  const { compile, exitBadFormat, unescapeBlanks, execute } = await import("../output/table.ts");
  const { GoStruct, structsFromJson } = await import("../../base/template/values.ts");
  const template = compile(format === "json" ? "{{json .}}" : unescapeBlanks(format), exitBadFormat);
  const shape = {
    maps: new Set(["Runtimes", "Containerd.Namespaces"]),
    pointers: new Set(["RegistryConfig", "Containerd", "FirewallBackend", "ProductLicense"]),
    zeros: {},
  };
  return (client, server) => {
    const info = structsFromJson({ ...server, ClientInfo: client }, shape);
    const data = info instanceof GoStruct ? new GoStruct("system.dockerInfo", info.fields) : info;
    return `${execute(template, data)}\n`;
  };
}

export default command;
