import { composeVersion } from "../../../compose/labels.ts";
import { gantryVersion } from "../../version-number.ts";
import { composeCommand, oneOf } from "../app.ts";

export default composeCommand({
  name: "version",
  offline: true,
  usage: "[OPTIONS]",
  short: "Show the version, and the Docker Compose whose projects these are",
  args: { min: 0, max: 0 },
  flags: [
    {
      name: "format",
      short: "f",
      type: "string",
      placeholder: "KIND",
      help: "How it is shown: pretty or json",
      validate: oneOf("pretty", "json"),
    },
    { name: "short", type: "bool", help: "Show the version of Docker Compose alone" },
  ],
  async run({ context }, parsed) {
    if (parsed.bool("short")) context.print(`${composeVersion}\n`);
    else if (parsed.string("format") === "json")
      context.print(`${JSON.stringify({ version: composeVersion })}\n`);
    else
      context.print(
        `gantry compose version ${gantryVersion}, as Docker Compose version v${composeVersion}\n`,
      );
    return 0;
  },
});
