import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { checkLabel } from "../run/values.ts";

const command: Command = {
  path: "volume create",
  usage: "[OPTIONS] [VOLUME]",
  short: "Make a volume",
  flags: [
    { name: "driver", short: "d", type: "string", default: "local", help: "Volume driver" },
    { name: "label", type: "list", placeholder: "KEY=VALUE", help: "Set a label", validate: checkLabel },
    { name: "name", type: "string", hidden: true, help: "Name of the volume" },
    { name: "opt", short: "o", type: "map", help: "Set an option of the driver" },
  ],
  args: { min: 0, max: 1 },
  async run(context, parsed) {
    const [positional = ""] = parsed.positional;
    if (positional !== "" && parsed.changed("name"))
      throw new CliError(
        "conflicting options: cannot specify a volume name through both --name and as a positional arg",
      );
    const labels = parsed.list("label").map((label): [string, string] => {
      const at = label.indexOf("=");
      return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
    });
    const volume = await context.client.volumeCreate({
      Name: positional === "" ? parsed.string("name") : positional,
      Driver: parsed.string("driver"),
      DriverOpts: parsed.map("opt"),
      Labels: Object.fromEntries(labels),
    });
    context.print(`${volume.Name}\n`);
    return 0;
  },
};

export default command;
