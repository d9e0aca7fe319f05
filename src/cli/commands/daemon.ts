import type { Command } from "../command.ts";
import { daemonFlags } from "../flags/daemon.ts";

const command: Command = {
  path: "daemon",
  usage: "[OPTIONS]",
  short: "Run the engine that serves the API",
  long:
    "Run the engine in the foreground. It serves Docker's Engine API on a unix socket and keeps running until it gets " +
    "SIGTERM or SIGINT; containers go on without it, and the next daemon on the same data root takes them over. " +
    "A client that names no host starts a daemon by itself when none runs.",
  examples: [
    ["gantry daemon -H unix:///run/gantry/gantry.sock -H tcp://127.0.0.1:2375", "listen on two sockets"],
    ["gantry daemon -g /srv/g2 --exec-root /run/g2 -b g2br0", "a second engine beside the first"],
  ],
  section: "management",
  flags: daemonFlags,
  args: { min: 0, max: 0 },
  run: (context, parsed) => context.runDaemon(parsed),
};

export default command;
