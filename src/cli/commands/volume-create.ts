import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import type { FlagSpec } from "../flags.ts";
import { checkLabel } from "../run/values.ts";

/** Known so that command lines keep their form; only a swarm has such volumes, and the daemon says so. */
const clusterFlags: readonly FlagSpec[] = [
  {
    name: "availability",
    type: "string",
    default: "active",
    help: 'Availability of a cluster volume: "active", "pause" or "drain"',
  },
  { name: "group", type: "string", help: "Group of a cluster volume" },
  { name: "limit-bytes", type: "bytes", help: "Most bytes of a cluster volume" },
  { name: "required-bytes", type: "bytes", help: "Least bytes of a cluster volume" },
  {
    name: "scope",
    type: "string",
    default: "single",
    help: 'Access to a cluster volume: "single" or "multi"',
  },
  { name: "secret", type: "map", help: "Secrets of a cluster volume" },
  {
    name: "sharing",
    type: "string",
    default: "none",
    help: 'Sharing of a cluster volume: "none", "readonly", "onewriter" or "all"',
  },
  { name: "topology-preferred", type: "list", help: "Where a cluster volume should be reachable" },
  { name: "topology-required", type: "list", help: "Where a cluster volume must be reachable" },
  { name: "type", type: "string", default: "block", help: 'Kind of a cluster volume: "mount" or "block"' },
];

const command: Command = {
  path: "volume create",
  usage: "[OPTIONS] [VOLUME]",
  short: "Make a volume",
  examples: [
    ["gantry volume create data", "a directory of this machine"],
    ["gantry volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch", "memory"],
    [
      "gantry volume create -o type=nfs -o device=:/export -o o=addr=files.example.com,vers=4 share",
      "a directory of an NFS server",
    ],
    ["gantry volume create -d PLUGIN data", "kept by a volume plugin"],
  ],
  flags: [
    { name: "driver", short: "d", type: "string", default: "local", help: "Volume driver" },
    { name: "label", type: "list", placeholder: "KEY=VALUE", help: "Set a label", validate: checkLabel },
    { name: "name", type: "string", hidden: true, help: "Name of the volume" },
    { name: "opt", short: "o", type: "map", help: "Set an option of the driver" },
    ...clusterFlags,
  ],
  args: { min: 0, max: 1 },
  async run(context, parsed) {
    const [positional = ""] = parsed.positional;
    if (positional !== "" && parsed.changed("name"))
      throw new CliError(
        "conflicting options: cannot specify a volume name through both --name and as a positional arg",
      );
    const labels = parsed.list("label").map((label): [string, string] => {
      const at = label.indexOf("=");
      return at < 0 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)];
    });
    const volume = await context.client.volumeCreate({
      Name: positional === "" ? parsed.string("name") : positional,
      Driver: parsed.string("driver"),
      DriverOpts: parsed.map("opt"),
      Labels: Object.fromEntries(labels),
      ...(clusterFlags.some(({ name }) => parsed.changed(name)) && { ClusterVolumeSpec: {} }),
    });
    context.print(`${volume.Name}\n`);
    return 0;
  },
};

export default command;
