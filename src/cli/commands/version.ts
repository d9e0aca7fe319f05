import { lowerVersion, newestApiVersion } from "../../client/transport.ts";
import type { VersionInfo } from "../../wire/system.ts";
import type { Command, CommandContext } from "../command.ts";
import { singleFormatFlag } from "../flags/listing.ts";
import { versionText, type ClientVersion } from "../output/version.ts";
import { gantryVersion } from "../version-number.ts";

const command: Command = {
  path: "version",
  usage: "[OPTIONS]",
  short: "Show the versions of this client and of the daemon",
  section: "common",
  args: { min: 0, max: 0 },
  flags: [singleFormatFlag],
  async run(context, parsed) {
    const format = parsed.string("format");
    // Read before anything is asked for, so that a bad template costs no request.
    const print = format === "" ? versionText : await templatePrinter(format);
    let server: VersionInfo | undefined;
    let failure: unknown;
    try {
      // Its answer names the daemon's newest version itself, so that nothing has to be asked before.
      server = await context.client.transport.json<VersionInfo>("GET", "/version", { unversioned: true });
    } catch (error) {
      failure = error;
    }
    let text: string;
    try {
      text = print(clientVersion(context, server), server);
    } catch (error) {
      // A template that asks for the daemon's part: why there is none says more.
      throw failure ?? error;
    }
    context.print(text);
    // The client's own part is of use also when there is no daemon.
    if (failure !== undefined) throw failure;
    return 0;
  },
};

async function templatePrinter(
  format: string,
): Promise<(client: ClientVersion, server: VersionInfo | undefined) => string> {
  const { compile, exitBadFormat, execute, unescapeBlanks } = await import("../output/table.ts");
  const { versionData } = await import("../output/version.ts");
  const template = compile(format === "json" ? "{{json .}}" : unescapeBlanks(format), exitBadFormat);
  return (client, server) => `${execute(template, versionData(client, server))}\n`;
}

function clientVersion({ env }: CommandContext, server: VersionInfo | undefined): ClientVersion {
  const newest = env["DOCKER_API_VERSION"] ?? newestApiVersion;
  const spoken = server === undefined ? newest : lowerVersion(newest, server.ApiVersion);
  return {
    Platform: { Name: "gantry" },
    Version: gantryVersion,
    ApiVersion: spoken,
    DefaultAPIVersion: newestApiVersion,
    GitCommit: "",
    GoVersion: process.version,
    Os: process.platform,
    Arch: process.arch === "x64" ? "amd64" : process.arch,
    Context: "default",
  };
}

export default command;
