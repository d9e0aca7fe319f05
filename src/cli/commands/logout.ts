import type { Command } from "../command.ts";
import { eraseCredentials, serverKey } from "../credentials.ts";

const command: Command = {
  path: "logout",
  usage: "[SERVER]",
  short: "Log out from a registry",
  long: "Forget the credentials for a registry, Docker Hub when none is named.",
  section: "common",
  flags: [],
  args: { min: 0, max: 1 },
  async run(context, parsed) {
    const key = serverKey(parsed.positional[0] ?? "");
    await eraseCredentials(context, key);
    // Scripts log out whatever there is; Docker's command line says the same in both cases.
    context.print(`Removing login credentials for ${key}\n`);
    return 0;
  },
};

export default command;
