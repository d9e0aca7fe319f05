import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { completionScripts } from "../output/completion-scripts.ts";

const command: Command = {
  path: "completion",
  usage: "bash|zsh|fish",
  short: "Print a script that completes gantry's command lines in a shell",
  examples: [
    ["source <(gantry completion bash)", "Complete in this bash; put the line into ~/.bashrc to keep it."],
    ["source <(gantry completion zsh)", "The same in zsh, after compinit; for ~/.zshrc."],
    ["gantry completion fish | source", "The same in fish; for ~/.config/fish/config.fish."],
  ],
  args: { min: 1, max: 1 },
  flags: [],
  async run(context, parsed) {
    const [shell = ""] = parsed.positional;
    const script = Object.hasOwn(completionScripts, shell) ? completionScripts[shell] : undefined;
    if (script === undefined) {
      throw new CliError(
        `There is no completion for "${shell}": use ${Object.keys(completionScripts).join(", ")}.`,
      );
    }
    context.print(script);
    return 0;
  },
};

export default command;
