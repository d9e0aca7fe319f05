import type { PortBinding } from "../../wire/container.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";

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
  const order = new Intl.Collator("en", { numeric: true });
  return lines
    .sort((a, b) => order.compare(a, b))
    .map((line) => `${line}\n`)
    .join("");
}

function onePort(ports: Ports, wanted: string, name: string): string {
  const [number = "", protocol = "tcp"] = wanted.split("/");
  if (!/^\d{1,5}$/.test(number)) throw new CliError(`Error: invalid port (${wanted})`);
  const bindings = ports?.[`${Number(number)}/${protocol}`] ?? [];
  if (bindings.length === 0) {
    throw new CliError(`Error: No public port '${number}/${protocol}' published for ${name}`);
  }
  return bindings.map((binding) => `${hostAddress(binding)}\n`).join("");
}
