import { isatty } from "node:tty";
import { composeCommand, indexFlag } from "../app.ts";
import { runningContainer } from "../containers.ts";
import { boolWords, delegate, flagWords } from "../delegate.ts";
import { programFlags } from "../program-flags.ts";

export default composeCommand({
  name: "exec",
  usage: "[OPTIONS] SERVICE COMMAND [ARG...]",
  short: "Run one more program in a running container of a service",
  args: { min: 2 },
  stopAtFirstArgument: true,
  completes: "services",
  flags: [
    { name: "detach", short: "d", type: "bool", help: "Run in the background" },
    programFlags.env,
    indexFlag,
    { name: "interactive", short: "i", type: "bool", default: true, help: "Keep STDIN open", hidden: true },
    programFlags.noTerminal,
    { name: "privileged", type: "bool", help: "Give the program all capabilities" },
    programFlags.terminal,
    programFlags.user,
    programFlags.workdir,
  ],
  async run(app, parsed) {
    const [service = "", ...words] = parsed.positional;
    const container = await runningContainer(app, service, parsed.number("index"));
    if (app.isDryRun) {
      app.context.print(`Container ${container.name}  exec ${words.join(" ")}\n`);
      return 0;
    }
    const isDetached = parsed.bool("detach");
    const hasTerminal = parsed.bool("tty") && !parsed.bool("no-TTY") && isatty(0) && isatty(1);
    return await delegate(app, () => import("../../commands/exec.ts"), [
      ...boolWords("detach", isDetached),
      ...boolWords("interactive", !isDetached && parsed.bool("interactive")),
      ...boolWords("tty", !isDetached && hasTerminal),
      ...boolWords("privileged", parsed.bool("privileged")),
      ...flagWords("env", parsed.list("env")),
      ...flagWords("user", parsed.changed("user") ? [parsed.string("user")] : []),
      ...flagWords("workdir", parsed.changed("workdir") ? [parsed.string("workdir")] : []),
      container.id,
      ...words,
    ]);
  },
});
