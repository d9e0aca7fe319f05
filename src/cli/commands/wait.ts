import type { Command } from "../command.ts";
import { errorLine } from "../each.ts";

const command: Command = {
  path: "wait",
  aliases: ["container wait"],
  usage: "CONTAINER [CONTAINER...]",
  short: "Wait until containers have ended, and print their exit codes",
  section: "other",
  flags: [],
  args: { min: 1 },
  completes: "running-containers",
  async run(context, parsed) {
    const errors: string[] = [];
    for (const name of parsed.positional) {
      try {
        const wait = await context.client.containerWait(name);
        const { StatusCode: code, Error: failure } = await wait.result;
        if (failure === null || failure === undefined) context.print(`${code}\n`);
        else errors.push(failure.Message);
      } catch (error) {
        errors.push(errorLine(error));
      }
    }
    for (const line of errors) context.printError(line);
    return errors.length === 0 ? 0 : 1;
  },
};

export default command;
