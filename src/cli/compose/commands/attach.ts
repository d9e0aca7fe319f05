import { composeCommand, indexFlag } from "../app.ts";
import { runningContainer } from "../containers.ts";
import { boolWords, delegate, flagWords } from "../delegate.ts";

export default composeCommand({
  name: "attach",
  usage: "[OPTIONS] SERVICE",
  short: "Connect this terminal's streams with those of a service's container",
  args: { min: 1, max: 1 },
  completes: "services",
  flags: [
    { name: "detach-keys", type: "string", help: "Keys that detach from the container (ctrl-p,ctrl-q)" },
    indexFlag,
    { name: "no-stdin", type: "bool", help: "Send no input" },
    { name: "sig-proxy", type: "bool", default: true, help: "Pass signals on to the program" },
  ],
  async run(app, parsed) {
    const container = await runningContainer(app, parsed.positional[0]!, parsed.number("index"));
    return await delegate(app, () => import("../../commands/attach.ts"), [
      ...boolWords("no-stdin", parsed.bool("no-stdin")),
      `--sig-proxy=${String(parsed.bool("sig-proxy"))}`,
      ...flagWords("detach-keys", parsed.changed("detach-keys") ? [parsed.string("detach-keys")] : []),
      container.id,
    ]);
  },
});
