/** Entry of the program: a command line, or the daemon. The only place that exits the process. */
import { runCli } from "./cli/cli.ts";

runCli(process.argv.slice(2), { env: process.env }).then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
    process.exit(70);
  },
);
