import type { Command } from "../command.ts";
import { registryCollectFlags } from "../flags/registry.ts";

const command: Command = {
  path: "registry gc",
  usage: "[OPTIONS]",
  short: "Remove what no image of a registry needs",
  long:
    "Remove blobs that no manifest refers to, unfinished uploads that were given up and, with --gc-untagged, manifests " +
    "without a tag. A registry that serves the same --root does it itself, between requests.",
  examples: [["gantry registry gc --root /srv/images --gc-untagged --dry-run", "see what would go"]],
  flags: registryCollectFlags,
  args: { min: 0, max: 0 },
  run: (context, parsed) => context.runRegistry("gc", parsed),
};

export default command;
