import { isTrue } from "../../../compose/go-values.ts";
import { noteAnswers } from "../../../compose/file/disk.ts";
import type { Project } from "../../../compose/model/project.ts";
import { createProject, describeProject, isRunning } from "../../../compose/up.ts";
import { CliError } from "../../errors.ts";
import type { ParsedArguments } from "../../parser.ts";
import { composeCommand, timeoutFlag, timeoutOf, type ComposeApp } from "../app.ts";
import { buildFlags, createFlags, createOptions, scaled } from "../create-options.ts";
import type { AttachedRun } from "../run-attached.ts";

export default composeCommand({
  name: "up",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Create and start containers",
  examples: [
    ["gantry compose up -d", "start everything in the background"],
    ["gantry compose up --build --watch", "build, start, and follow changes of sources"],
    ["gantry compose up --exit-code-from tests", "run until the tests end, and end as they do"],
  ],
  completes: "services",
  flags: [
    ...createFlags,
    ...buildFlags,
    { name: "abort-on-container-exit", type: "bool", help: "Stop everything when one container ends" },
    { name: "abort-on-container-failure", type: "bool", help: "Stop everything when one container fails" },
    { name: "attach", type: "list", placeholder: "SERVICE", help: "Show the output of these services only" },
    { name: "attach-dependencies", type: "bool", help: "Show the output of what services depend on, too" },
    { name: "detach", short: "d", type: "bool", help: "Leave the containers running in the background" },
    {
      name: "exit-code-from",
      type: "string",
      placeholder: "SERVICE",
      help: "End with the exit code of this service's container; stops everything then",
    },
    {
      name: "menu",
      type: "bool",
      help: "Show shortcuts below the output on a terminal: w watches sources, d detaches; COMPOSE_MENU=1 does, too",
    },
    {
      name: "no-attach",
      type: "list",
      placeholder: "SERVICE",
      help: "Do not show the output of these services",
    },
    { name: "no-color", type: "bool", help: "Show output without colours" },
    { name: "no-log-prefix", type: "bool", help: "Show output without names in front" },
    { name: "no-start", type: "bool", help: "Create the containers, and do not start them" },
    timeoutFlag,
    { name: "timestamps", type: "bool", help: "Show when lines were written" },
    { name: "wait", type: "bool", help: "Wait until everything runs and is healthy; implies --detach" },
    { name: "wait-timeout", type: "int", placeholder: "SECONDS", help: "Longest time to wait" },
    { name: "watch", short: "w", type: "bool", help: "Follow changes of sources (develop.watch)" },
  ],
  async run(app, parsed) {
    check(parsed);
    const beganMs = Date.now();
    const services = parsed.positional;
    const { result: project, answers: disk } = noteAnswers(() =>
      scaled(app.project(services, { dependencies: !parsed.bool("no-deps") }), parsed.list("scale")),
    );
    checkNames(parsed, project);
    if (parsed.bool("watch")) {
      // What cannot be watched is told before anything is started.
      const { watchTriggers } = await import("../../../compose/watch-triggers.ts");
      watchTriggers(project, (message) => app.warn(message));
    }
    const options = { ...createOptions(app, parsed, project), ...timeoutOf(parsed) };
    if (options.removeOrphans && isTrue(project.environment["COMPOSE_IGNORE_ORPHANS"]))
      throw new CliError("cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans", 1);
    if (app.isDryRun) {
      const lines = await describeProject(app.session("Plan"), project, options);
      app.finish();
      app.context.print(lines.map((line) => `${line}\n`).join(""));
      return 0;
    }
    const isDetached = parsed.bool("detach") || parsed.bool("wait") || parsed.bool("no-start");
    const session = app.session("Running");
    const { containers, seen, isUnchanged } = await createProject(session, project, options);
    const isOver = parsed.bool("detach") && !parsed.bool("wait") && isRunning(containers);
    if (isOver && isUnchanged) {
      app.finish();
      const { rememberUnchanged } = await import("../remember.ts");
      await rememberUnchanged(app, { project, disk, seen, containers });
    } else if (isOver || parsed.bool("no-start")) app.finish();
    else if (isDetached) {
      const { startProject } = await import("../../../compose/act/start.ts");
      await startProject(session, project, containers, {
        wait: parsed.bool("wait"),
        waitTimeoutSeconds: parsed.number("wait-timeout"),
      });
      app.finish();
    } else return await attached(app, parsed, { beganMs, project, containers });
    return 0;
  },
});

async function attached(
  app: ComposeApp,
  parsed: ParsedArguments,
  run: Pick<AttachedRun, "beganMs" | "project" | "containers">,
): Promise<number> {
  const names = Object.keys(run.project.services);
  const asked =
    parsed.positional.length === 0 || parsed.bool("attach-dependencies") ? names : parsed.positional;
  const wanted = parsed.list("attach").length > 0 ? parsed.list("attach") : asked;
  const shown = wanted.filter(
    (name) => !parsed.list("no-attach").includes(name) && run.project.services[name]?.attach !== false,
  );
  const exitCodeFrom = parsed.string("exit-code-from");
  const { runAttached } = await import("../run-attached.ts");
  return await runAttached(app, {
    ...run,
    asked: parsed.positional,
    shown: new Set(shown),
    abortOnExit: parsed.bool("abort-on-container-exit") || exitCodeFrom !== "",
    abortOnFailure: parsed.bool("abort-on-container-failure"),
    exitCodeFrom,
    timestamps: parsed.bool("timestamps"),
    colours: !parsed.bool("no-color"),
    prefix: !parsed.bool("no-log-prefix"),
    watch: parsed.bool("watch"),
    menu: parsed.changed("menu") ? parsed.bool("menu") : isTrue(run.project.environment["COMPOSE_MENU"]),
    ...(parsed.changed("timeout") ? { timeoutSeconds: parsed.number("timeout") } : {}),
  });
}

function checkNames(parsed: ParsedArguments, project: Project): void {
  const exitCodeFrom = parsed.string("exit-code-from");
  if (exitCodeFrom !== "" && project.services[exitCodeFrom] === undefined) {
    const reason = project.disabled[exitCodeFrom] === undefined ? "not found" : "disabled";
    throw new CliError(`no such service: ${exitCodeFrom}: ${reason}`, 1);
  }
  const unknown = parsed.list("attach").filter((name) => project.services[name] === undefined);
  if (unknown.length > 0)
    throw new CliError(`cannot attach to services not included in up: ${unknown.join(", ")}`, 1);
}

function check(parsed: ParsedArguments): void {
  const both = (a: string, b: string): boolean => parsed.changed(a) && parsed.changed(b);
  const refuse = (message: string): never => {
    throw new CliError(message, 1);
  };
  const background = ["wait", "detach"].find((name) => parsed.bool(name));
  const foreground = [
    "abort-on-container-exit",
    "abort-on-container-failure",
    "exit-code-from",
    "attach",
    "attach-dependencies",
    "watch",
  ].find((name) => parsed.changed(name));
  if (background !== undefined && foreground !== undefined) {
    const others = ["abort-on-container-exit", "exit-code-from", "attach", "attach-dependencies"];
    const words = others.includes(foreground)
      ? "--abort-on-container-exit, --attach or --attach-dependencies"
      : `--${foreground}`;
    refuse(`--${background} cannot be combined with ${words}`);
  }
  if (both("attach", "attach-dependencies")) refuse("cannot combine --attach and --attach-dependencies");
  if (parsed.bool("no-build") && parsed.bool("watch")) refuse("--no-build and --watch are incompatible");
  if (both("build", "no-build")) refuse("--build and --no-build are incompatible");
  if (parsed.bool("force-recreate") && parsed.bool("no-recreate")) {
    refuse("--force-recreate and --no-recreate are incompatible");
  }
  if (parsed.bool("always-recreate-deps") && parsed.bool("no-recreate")) {
    refuse("--always-recreate-deps and --no-recreate are incompatible");
  }
}
