import { ComposeError } from "../../../compose/errors.ts";
import { composeCommand, oneOf, indexFlag } from "../app.ts";
import { runningContainer } from "../containers.ts";

export default composeCommand({
  name: "port",
  usage: "[OPTIONS] SERVICE PRIVATE_PORT",
  short: "Show where a port of a service is published",
  args: { min: 2, max: 2 },
  completes: "services",
  flags: [
    indexFlag,
    {
      name: "protocol",
      type: "string",
      default: "tcp",
      help: "Protocol of the port: tcp, udp or sctp",
      validate: oneOf("tcp", "udp", "sctp"),
    },
  ],
  async run(app, parsed) {
    const [service = "", port = ""] = parsed.positional;
    if (!/^\d+$/.test(port)) throw new ComposeError(`invalid port: ${port}`);
    const { name, summary } = await runningContainer(app, service, parsed.number("index"));
    const protocol = parsed.string("protocol");
    const found = summary.Ports.find(
      (each) => each.PrivatePort === Number(port) && each.Type === protocol && each.PublicPort !== undefined,
    );
    if (found === undefined) {
      const all = summary.Ports.map((each) => `${each.PrivatePort}/${each.Type}`).join(", ");
      const others = all === "" ? "" : `: ${all}`;
      throw new ComposeError(`no port ${port}/${protocol} for container ${name}${others}`);
    }
    const ip = found.IP ?? "0.0.0.0";
    app.context.print(`${ip.includes(":") ? `[${ip}]` : ip}:${found.PublicPort!}\n`);
    return 0;
  },
});
