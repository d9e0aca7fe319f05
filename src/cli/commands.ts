import { actingCommands } from "./acting-commands.ts";
import type { CommandLoader } from "./command.ts";
import { composeCommands } from "./compose-commands.ts";
import type { FlagSpec } from "./flags.ts";

/**
 * Every name of every command, with how to load it: a start loads the file of its own command and no other.
 * A unit test holds this table and the `path` and `aliases` of the commands together.
 */
export const commands: Readonly<Record<string, CommandLoader>> = {
  "builder build": () => import("./commands/build.ts"),
  "buildx b": () => import("./commands/build.ts"),
  "buildx build": () => import("./commands/build.ts"),
  "buildx du": () => import("./commands/buildx-du.ts"),
  "buildx inspect": () => import("./commands/buildx-inspect.ts"),
  "buildx ls": () => import("./commands/buildx-ls.ts"),
  "buildx prune": () => import("./commands/buildx-prune.ts"),
  "buildx version": () => import("./commands/buildx-version.ts"),
  build: () => import("./commands/build.ts"),
  __complete: () => import("./commands/complete.ts"),
  completion: () => import("./commands/completion.ts"),
  "container inspect": () => import("./commands/container-inspect.ts"),
  "container list": () => import("./commands/ps.ts"),
  "container ls": () => import("./commands/ps.ts"),
  "container ps": () => import("./commands/ps.ts"),
  daemon: () => import("./commands/daemon.ts"),
  events: () => import("./commands/events.ts"),
  history: () => import("./commands/history.ts"),
  "image build": () => import("./commands/build.ts"),
  "image history": () => import("./commands/history.ts"),
  "image inspect": () => import("./commands/image-inspect.ts"),
  "image list": () => import("./commands/images.ts"),
  "image ls": () => import("./commands/images.ts"),
  images: () => import("./commands/images.ts"),
  info: () => import("./commands/info.ts"),
  inspect: () => import("./commands/inspect.ts"),
  ps: () => import("./commands/ps.ts"),
  "system events": () => import("./commands/events.ts"),
  "system info": () => import("./commands/info.ts"),
  version: () => import("./commands/version.ts"),
  ...actingCommands,
  ...composeCommands,
};

/** Flags that stand between a group's name and its command. */
export const groupFlags: Readonly<Record<string, () => Promise<{ readonly default: readonly FlagSpec[] }>>> =
  {
    compose: () => import("./compose/flags.ts"),
    fig: () => import("./compose/flags.ts"),
  };

/** What the groups are for. */
export const groups: Readonly<Record<string, string>> = {
  builder: "Build images and mind the build cache",
  buildx: "Build images, in the words of Docker's plugin",
  compose: "Define and run applications of several containers",
  container: "Work with containers",
  context: "Name daemons and switch between them",
  fig: "Run applications as Fig did: fig.yml, names with underscores",
  image: "Work with images",
  manifest: "Work with lists of images for several platforms",
  registry: "Run a registry of images",
  network: "Work with networks",
  system: "Work with the daemon as a whole",
  volume: "Work with volumes",
};

const unservedAtTop = "checkpoint config node plugin secret service stack swarm trust";

/** Commands that Docker has and gantry has not, by group; "" for those without one. */
export const unservedCommands: Readonly<Record<string, readonly string[]>> = {
  "": unservedAtTop.split(" "),
  buildx: ["bake", "create", "dial-stdio", "history", "imagetools", "rm", "stop", "use"],
};
