import type { Command } from "../command.ts";
import { createContainer } from "../run/create-container.ts";
import { containerFlags } from "../run/flags.ts";
import { createRequest } from "../run/request.ts";
import { consoleSize } from "../terminal.ts";

const command: Command = {
  path: "create",
  aliases: ["container create"],
  usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
  short: "Create a container without starting it",
  long: 'Create a container from an image and print its ID. Start it with "gantry start".',
  section: "other",
  flags: containerFlags,
  args: { min: 1 },
  stopAtFirstArgument: true,
  completes: "images",
  async run(context, parsed) {
    const request = createRequest(parsed, {
      command: "create",
      env: context.env,
      consoleSize: consoleSize(context),
    });
    const id = await createContainer(context, parsed, request);
    context.print(`${id}\n`);
    return 0;
  },
};

export default command;
