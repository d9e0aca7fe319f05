import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { promptLine, readSecret } from "../prompt.ts";

/** What bcrypt takes; the rest of a longer password would count for nothing. */
const maxPasswordBytes = 72;

const command: Command = {
  path: "registry htpasswd",
  usage: "[OPTIONS] USER",
  short: "Make a line for a registry's file of users",
  examples: [
    ["gantry registry htpasswd mia >> users", "asks for the password"],
    ["gantry registry htpasswd --password-stdin mia <secret >> users", "reads it from a file"],
  ],
  flags: [{ name: "password-stdin", type: "bool", help: "Take the password from stdin" }],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const [user = ""] = parsed.positional;
    if (user === "" || /[:\s]/.test(user)) throw new CliError(`invalid user name: ${JSON.stringify(user)}`);
    const password = parsed.bool("password-stdin")
      ? await readSecret(context)
      : await promptLine(context, "Password: ", { secret: true });
    if (password === "") throw new CliError("Error: password is empty");
    if (Buffer.byteLength(password) > maxPasswordBytes)
      throw new CliError(
        `The password is longer than ${maxPasswordBytes} bytes, of which bcrypt takes no more.`,
      );
    const { hash } = await import("bcryptjs");
    context.print(`${user}:${await hash(password, 10)}\n`);
    return 0;
  },
};

export default command;
