import type { CommandLoader } from "./command.ts";

/** Commands of `compose`, which `fig` has too. Each is loaded when it is called. */
const loaders: Readonly<Record<string, CommandLoader>> = {
  alpha: () => import("./compose/commands/alpha.ts"),
  attach: () => import("./compose/commands/attach.ts"),
  build: () => import("./compose/commands/build.ts"),
  commit: () => import("./compose/commands/commit.ts"),
  config: () => import("./compose/commands/config.ts"),
  cp: () => import("./compose/commands/cp.ts"),
  create: () => import("./compose/commands/create.ts"),
  down: () => import("./compose/commands/down.ts"),
  events: () => import("./compose/commands/events.ts"),
  exec: () => import("./compose/commands/exec.ts"),
  export: () => import("./compose/commands/export.ts"),
  images: () => import("./compose/commands/images.ts"),
  kill: () => import("./compose/commands/kill.ts"),
  logs: () => import("./compose/commands/logs.ts"),
  ls: () => import("./compose/commands/ls.ts"),
  pause: () => import("./compose/commands/pause.ts"),
  port: () => import("./compose/commands/port.ts"),
  ps: () => import("./compose/commands/ps.ts"),
  pull: () => import("./compose/commands/pull.ts"),
  push: () => import("./compose/commands/push.ts"),
  restart: () => import("./compose/commands/restart.ts"),
  rm: () => import("./compose/commands/rm.ts"),
  run: () => import("./compose/commands/run.ts"),
  scale: () => import("./compose/commands/scale.ts"),
  start: () => import("./compose/commands/start.ts"),
  stats: () => import("./compose/commands/stats.ts"),
  stop: () => import("./compose/commands/stop.ts"),
  top: () => import("./compose/commands/top.ts"),
  unpause: () => import("./compose/commands/unpause.ts"),
  up: () => import("./compose/commands/up.ts"),
  version: () => import("./compose/commands/version.ts"),
  wait: () => import("./compose/commands/wait.ts"),
  watch: () => import("./compose/commands/watch.ts"),
  convert: () => import("./compose/commands/config.ts"),
};

export const composeCommands: Readonly<Record<string, CommandLoader>> = Object.fromEntries(
  ["compose", "fig"].flatMap((group) =>
    Object.entries(loaders).map(([name, load]) => [`${group} ${name}`, load] as const),
  ),
);
