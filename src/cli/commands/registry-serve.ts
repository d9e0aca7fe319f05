import type { Command } from "../command.ts";
import { registryServeFlags } from "../flags/registry.ts";

const command: Command = {
  path: "registry serve",
  usage: "[OPTIONS]",
  short: "Run a registry of images",
  long:
    "Run a registry of images in the foreground, until SIGTERM or SIGINT. It speaks the OCI distribution specification " +
    "1.1, so every container tool can pull from it and push to it; it needs no daemon and no root. Its first page (/) " +
    "lists what it has, /metrics is for Prometheus.",
  examples: [
    ["gantry registry serve --root /srv/images -a :5000", "a registry for a network one trusts"],
    [
      "gantry registry serve -a :443 --tls-cert c.pem --tls-key k.pem --htpasswd users",
      "with TLS, for users of a file",
    ],
    ["gantry registry serve --proxy https://registry-1.docker.io", "a cache of Docker Hub"],
  ],
  flags: registryServeFlags,
  args: { min: 0, max: 0 },
  run: (context, parsed) => context.runRegistry("serve", parsed),
};

export default command;
