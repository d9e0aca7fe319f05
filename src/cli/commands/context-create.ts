import type { Command } from "../command.ts";
import { checkContextName, ContextStore } from "../context-store.ts";
import { copiedEndpoint, dockerEndpoint } from "../docker-endpoint.ts";
import { CliError } from "../errors.ts";
import { contextFlags } from "../flags/context.ts";

const command: Command = {
  path: "context create",
  usage: "[OPTIONS] CONTEXT",
  short: "Name a daemon",
  long: "Name a daemon. The contexts are those of Docker's command line too: both keep them in ~/.docker.",
  examples: [
    ["gantry context create far --docker host=ssh://me@far.example", "a daemon that is reached by ssh"],
    [
      "gantry context create lab --docker host=tcp://lab:2376,ca=ca.pem,cert=cert.pem,key=key.pem",
      "one that asks for a certificate",
    ],
  ],
  flags: [
    ...contextFlags,
    { name: "from", type: "string", placeholder: "CONTEXT", help: "Copy another context" },
  ],
  args: { min: 1, max: 1 },
  async run(context, parsed) {
    const name = parsed.positional[0]!;
    checkContextName(name);
    const store = new ContextStore(context.configDirectory);
    if (store.has(name)) throw new CliError(`context "${name}" already exists`);
    const from = parsed.string("from");
    const asked = dockerEndpoint(context, store, parsed.list("docker"));
    if (from !== "" && asked !== undefined) throw new CliError("cannot use --docker flag when --from is set");
    if (from === "" && asked === undefined) throw new CliError("docker endpoint configuration is required");
    const { endpoint, tls } = asked ?? copiedEndpoint(context, store, from);
    const copied = from === "" || from === "default" ? {} : store.get(from).Metadata;
    const description = parsed.string("description");
    store.put({
      Name: name,
      Metadata: description === "" ? copied : { ...copied, Description: description },
      Endpoints: { docker: endpoint },
    });
    if (Object.keys(tls).length > 0) store.putTls(name, tls);
    context.print(`${name}\n`);
    context.printError(`Successfully created context "${name}"`);
    return 0;
  },
};

export default command;
