import { openArchiveOutput } from "../archive-output.ts";
import type { Command } from "../command.ts";
import { checkedPlatform } from "../pull-image.ts";

const command: Command = {
  path: "save",
  aliases: ["image save"],
  usage: "[OPTIONS] IMAGE [IMAGE...]",
  short: "Save one or more images to a tar archive (to STDOUT without --output)",
  section: "other",
  flags: [
    {
      name: "output",
      short: "o",
      type: "string",
      placeholder: "FILE",
      help: "Write to a file instead of STDOUT",
    },
    { name: "platform", type: "string", help: "Save only this platform (linux/amd64)" },
  ],
  args: { min: 1 },
  completes: "images",
  async run(context, parsed) {
    const output = openArchiveOutput(parsed.string("output"), "save image");
    const platform = checkedPlatform(parsed.string("platform"));
    const archive = await context.client.imageSave(parsed.positional, platform === "" ? {} : { platform });
    await output.write(archive);
    return 0;
  },
};

export default command;
