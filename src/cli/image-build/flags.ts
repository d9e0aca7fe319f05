/** The flags of `gantry build`: those of Docker's command line and of buildx. */
import type { FlagSpec } from "../flags.ts";
import { progressModes } from "./progress.ts";

const list = (name: string, placeholder: string, help: string): FlagSpec => ({
  name,
  type: "list",
  placeholder,
  help,
});
const text = (name: string, placeholder: string, help: string): FlagSpec => ({
  name,
  type: "string",
  placeholder,
  help,
});

const needsBuildKit = "builds run as a graph of steps, which has no place for it";

export const buildFlags: readonly FlagSpec[] = [
  list("add-host", "HOST:IP", "Add a line to the /etc/hosts of RUN steps"),
  list("allow", "ENTITLEMENT", "Allow steps more: network.host, security.insecure"),
  list("annotation", "KEY=VALUE", "Add an annotation to the image"),
  list("attest", "TYPE", "Make an attestation (type=provenance,mode=min; type=sbom,generator=IMAGE)"),
  list("build-arg", "NAME[=VALUE]", "Set a build argument; without a value it comes from the environment"),
  list(
    "build-context",
    "NAME=SOURCE",
    "Add a context: a directory, an image (docker-image://), a git or http address",
  ),
  { name: "builder", type: "string", hidden: true, help: "Name of a builder; there is one, the daemon" },
  list("cache-from", "SOURCE", "Take cache from an image, or from type=local,src=DIR"),
  list("cache-to", "TARGET", "Write the cache: type=inline, type=registry,ref=IMAGE, type=local,dest=DIR"),
  text("call", "METHOD", "Ask instead of building: check, outline, targets (default: build)"),
  text("cgroup-parent", "CGROUP", "Parent control group of RUN steps"),
  { name: "check", type: "bool", help: "Check the Dockerfile instead of building (--call=check)" },
  { name: "compress", type: "bool", hidden: true, help: "Files are sent one by one, only when they changed" },
  { name: "cpu-period", type: "int", help: "Length of a period of the CPU limit in microseconds" },
  { name: "cpu-quota", type: "int", help: "CPU time of RUN steps in a period, in microseconds" },
  { name: "cpu-shares", short: "c", type: "int", help: "Share of CPU time against others" },
  text("cpuset-cpus", "CPUS", "Processors that RUN steps may use (0-3, 0,1)"),
  text("cpuset-mems", "NODES", "Memory nodes that RUN steps may use (0-3, 0,1)"),
  { name: "disable-content-trust", type: "bool", default: true, hidden: true, help: "Nothing is signed" },
  {
    name: "file",
    short: "f",
    type: "string",
    placeholder: "FILE",
    help: 'The Dockerfile (default: PATH/Dockerfile); "-" for STDIN',
  },
  { name: "force-rm", type: "bool", hidden: true, help: "Containers of steps never stay" },
  text("iidfile", "FILE", "Write the image's id to a file"),
  {
    name: "isolation",
    type: "string",
    refused: "there is one kind of isolation, the container's",
    help: "Kind of isolation",
  },
  list("label", "KEY=VALUE", "Set a label of the image"),
  { name: "load", type: "bool", help: "Keep the result as an image here (the default without --output)" },
  { name: "memory", short: "m", type: "bytes", help: "Memory limit of RUN steps" },
  { name: "memory-swap", type: "bytes", help: "Limit of memory and swap together; -1 for no limit" },
  text("metadata-file", "FILE", "Write what is known of the result to a file, as JSON"),
  {
    name: "network",
    type: "string",
    default: "default",
    placeholder: "MODE",
    help: "Network of RUN steps: default, none, host",
  },
  { name: "no-cache", type: "bool", help: "Take nothing from the cache" },
  list("no-cache-filter", "STAGE", "Take nothing from the cache for a stage"),
  {
    name: "output",
    short: "o",
    type: "list",
    placeholder: "TARGET",
    help: "Where the result goes: a directory, or type=local|tar|oci|docker|registry,dest=PATH",
  },
  list("platform", "PLATFORM", "Platform of the image; several make an index (linux/amd64,linux/arm64)"),
  {
    name: "progress",
    type: "string",
    default: "auto",
    placeholder: "MODE",
    help: `How progress is shown: ${progressModes.join(", ")}`,
    validate: (value) => {
      if (!(progressModes as readonly string[]).includes(value))
        throw new Error(`invalid progress mode ${value}, expecting: ${progressModes.join(", ")}`);
    },
  },
  {
    name: "provenance",
    type: "string",
    placeholder: "MODE",
    help: "Attest how the image was made (true, mode=max)",
  },
  { name: "pull", type: "bool", help: "Ask registries for base images, also for those that are here" },
  { name: "push", type: "bool", help: "Push the result (--output=type=registry)" },
  { name: "quiet", short: "q", type: "bool", help: "Show no progress; print the image's id" },
  { name: "rm", type: "bool", default: true, hidden: true, help: "Containers of steps never stay" },
  {
    name: "sbom",
    type: "string",
    placeholder: "VALUE",
    help: "List what is in the image (true, or generator=IMAGE of the scanner)",
  },
  list("secret", "SECRET", "A secret for RUN --mount=type=secret (id=NAME,src=FILE or id=NAME,env=VARIABLE)"),
  { name: "security-opt", type: "list", refused: needsBuildKit, help: "Security options" },
  { name: "shm-size", type: "bytes", help: "Size of /dev/shm of RUN steps" },
  { name: "squash", type: "bool", refused: needsBuildKit, help: "Make one layer of all new ones" },
  list(
    "ssh",
    "AGENT",
    "An SSH agent or keys for RUN --mount=type=ssh (default, NAME=SOCKET, NAME=KEY[,KEY])",
  ),
  { name: "tag", short: "t", type: "list", placeholder: "NAME", help: "Name of the image (name:tag)" },
  text("target", "STAGE", "The stage to build"),
  list("ulimit", "NAME=SOFT[:HARD]", "Limit of RUN steps"),
];
