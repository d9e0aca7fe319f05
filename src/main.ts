/** Entry of the program: a command line, or the daemon. The only place that exits the process. */
import { runCli } from "./cli/cli.ts";
import type { ParsedArguments } from "./cli/parser.ts";

const options = {
  env: process.env,
  // Loaded for `gantry daemon` only: a bundle of its own.
  runDaemon: async (parsed: ParsedArguments) => (await import("./daemon.ts")).daemonCommand(parsed),
  manifestRegistry: async () => (await import("./manifest-registry.ts")).manifestRegistry(),
  maintenance: async () => (await import("./maintenance.ts")).maintenance(),
  runRegistry: async (command: "serve" | "gc", parsed: ParsedArguments) =>
    (await import("./registry-server.ts")).registryCommand(command, parsed),
};

runCli(process.argv.slice(2), options).then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(70);
  },
);
