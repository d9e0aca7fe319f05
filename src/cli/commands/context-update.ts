import type { Command } from "../command.ts";
import { checkContextName, ContextStore } from "../context-store.ts";
import { dockerEndpoint } from "../docker-endpoint.ts";
import { contextFlags } from "../flags/context.ts";

const command: Command = {
  path: "context update",
  usage: "[OPTIONS] CONTEXT",
  short: "Change a context",
  flags: contextFlags,
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const name = parsed.positional[0]!;
    checkContextName(name);
    const store = new ContextStore(context.configDirectory);
    const meta = store.get(name);
    if (parsed.changed("description")) meta.Metadata.Description = parsed.string("description");
    const asked = dockerEndpoint(context, store, parsed.list("docker"));
    if (asked !== undefined) {
      meta.Endpoints.docker = asked.endpoint;
      store.putTls(name, asked.tls);
    }
    store.put(meta);
    context.print(`${name}\n`);
    context.printError(`Successfully updated context "${name}"`);
    return 0;
  },
};

export default command;
