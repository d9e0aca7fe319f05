import { errorText } from "../../base/errors.ts";
import type { PortBinding } from "../../wire/container.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { parseUnsigned } from "../flag-values.ts";
import { compareNames } from "../output/natural-order.ts";

const command: Command = {
  path: "port",
  aliases: ["container port"],
  usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
  short: "Show where a container's ports are published",
  section: "other",
  flags: [],
  args: { min: 1, max: 2 },
  completes: "running-containers",
  async run(context, parsed) {
    const [name = "", wanted] = parsed.positional;
    const { NetworkSettings: settings } = await context.client.containerInspect(name);
    context.print(wanted === undefined ? allPorts(settings.Ports) : onePort(settings.Ports, wanted, name));
    return 0;
  },
};

export default command;

type Ports = Readonly<Record<string, readonly PortBinding[] | null>>;

function hostAddress({ HostIp: ip = "", HostPort: port = "" }: PortBinding): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function allPorts(ports: Ports): string {
  const lines = Object.entries(ports ?? {}).flatMap(([port, bindings]) =>
    (bindings ?? []).map((binding) => `${port} -> ${hostAddress(binding)}`),
  );
  return lines
    .sort(compareNames)
    .map((line) => `${line}\n`)
    .join("");
}

function onePort(ports: Ports, wanted: string, name: string): string {
  const [text = "", protocol = "tcp"] = wanted.split("/");
  let number: number;
  try {
    number = parseUnsigned(text, 16);
  } catch (error) {
    throw new CliError(`Error: invalid port (${text}): ${errorText(error)}`, 1, { cause: error });
  }
  const bindings = ports?.[`${number}/${protocol}`] ?? [];
  if (bindings.length === 0) {
    throw new CliError(`Error: No public port '${wanted}' published for ${name}`);
  }
  return bindings.map((binding) => `${hostAddress(binding)}\n`).join("");
}
