import { isatty } from "node:tty";
import { createContainer } from "../../../compose/act/converge.ts";
import { linksOf } from "../../../compose/act/links.ts";
import { startProject } from "../../../compose/act/start.ts";
import { hasApi, listContainers } from "../../../compose/engine.ts";
import { ComposeError } from "../../../compose/errors.ts";
import { withServicesEnabled } from "../../../compose/model/select.ts";
import { imageOf, type Project } from "../../../compose/model/project.ts";
import { type ContainerPlan, createRequest } from "../../../compose/request/create-request.ts";
import { firstByName, resolveReferences } from "../../../compose/plan.ts";
import { createProject, type CreateOptions } from "../../../compose/up.ts";
import { parseArguments, type ParsedArguments } from "../../parser.ts";
import { runAttached } from "../../run/run-attached.ts";
import { checkInputTerminal, detachKeysOf } from "../../session.ts";
import { composeCommand, type ComposeApp } from "../app.ts";
import { buildOptions } from "../build-output.ts";
import { oneOffService, newSlug } from "../one-off.ts";
import { labels } from "../../../compose/labels.ts";
import { programFlags } from "../program-flags.ts";
import { quietPullFlag, removeOrphansFlag } from "../create-options.ts";

export default composeCommand({
  name: "run",
  usage: "[OPTIONS] SERVICE [COMMAND] [ARG...]",
  short: "Run one command in a container of its own, with the settings of a service",
  args: { min: 1 },
  stopAtFirstArgument: true,
  completes: "services",
  examples: [
    ["gantry compose run --rm web sh", "a shell as web has it"],
    ["gantry fig run web django-admin startproject site .", "a first project, with Fig's names"],
  ],
  flags: [
    { name: "build", type: "bool", help: "Build the image first" },
    { name: "cap-add", type: "list", help: "Add a capability" },
    { name: "cap-drop", type: "list", help: "Take a capability away" },
    { name: "detach", short: "d", type: "bool", help: "Run in the background and show the container's name" },
    { name: "entrypoint", type: "string", help: "Another entrypoint" },
    programFlags.env,
    {
      name: "env-from-file",
      type: "list",
      placeholder: "FILE",
      help: "Read environment variables from a file",
    },
    { name: "interactive", short: "i", type: "bool", default: true, help: "Keep STDIN open" },
    { name: "label", short: "l", type: "list", help: "Add a label" },
    { name: "name", type: "string", help: "Name of the container" },
    programFlags.noTerminal,
    { name: "no-deps", type: "bool", help: "Do not start what the service depends on" },
    { name: "publish", short: "p", type: "list", help: "Publish a port" },
    { name: "pull", type: "string", help: "When to pull the image: always, missing or never" },
    quietPullFlag,
    removeOrphansFlag,
    { name: "rm", type: "bool", help: "Remove the container when it has ended" },
    { name: "service-ports", short: "P", type: "bool", help: "Publish the ports of the service" },
    programFlags.terminal,
    { name: "use-aliases", type: "bool", help: "Be found under the names of the service" },
    programFlags.user,
    { name: "volume", short: "v", type: "list", help: "Mount one more volume" },
    programFlags.workdir,
  ],
  async run(app, parsed) {
    const name = parsed.positional[0]!;
    const project = withServicesEnabled(app.project([name]), [name]);
    if (project.services[name] === undefined) throw new ComposeError(`no such service: ${name}`);
    const pull = parsed.string("pull");
    if (pull !== "") project.services[name].pull_policy = pull;
    if (app.isDryRun) {
      const image = imageOf(project, name, project.services[name]);
      app.context.print(`Container of service ${name}  create from ${image}, start\n`);
      return 0;
    }
    await startDependencies(app, parsed, { project, name });
    return await runOneOff(app, parsed, { project, name });
  },
});

interface OneOff {
  readonly project: Project;
  readonly name: string;
}

/** Everything that the service needs: its dependencies run, and its own image is there. */
async function startDependencies(
  app: ComposeApp,
  parsed: ParsedArguments,
  { project, name }: OneOff,
): Promise<void> {
  const own = project.services[name]!;
  // The service itself gets no container, only its image and its networks.
  const isAlone = parsed.bool("no-deps");
  const services = isAlone ? { [name]: own } : project.services;
  const needed = {
    ...project,
    services: { ...services, [name]: { ...own, scale: 0 } },
    // What it does without is known all the same: its containers are no orphans.
    disabled: isAlone ? { ...project.disabled, ...project.services } : project.disabled,
  };
  const options: CreateOptions = {
    services: Object.keys(needed.services),
    // What runs already for the service itself stays.
    recreate: "diverged",
    recreateDependencies: "diverged",
    removeOrphans: parsed.bool("remove-orphans"),
    renewVolumes: false,
    quietPull: parsed.bool("quiet-pull"),
    build: parsed.bool("build") ? true : undefined,
    buildOptions: buildOptions(app),
  };
  const session = app.session("Running");
  try {
    const { containers } = await createProject(session, needed, { ...options, leaveAlone: [name] });
    // It waits for what the service depends on, though nothing of the service itself is started.
    const others = new Map([...containers].filter(([service]) => service !== name));
    await startProject(session, needed, others);
  } finally {
    app.finish();
  }
}

interface Streams {
  readonly tty: boolean;
  readonly isInteractive: boolean;
}

async function runOneOff(app: ComposeApp, parsed: ParsedArguments, oneOff: OneOff): Promise<number> {
  const { client } = app.context;
  const isDetached = parsed.bool("detach");
  const tty = !isDetached && parsed.bool("tty") && !parsed.bool("no-TTY") && isatty(0) && isatty(1);
  const isInteractive = !isDetached && parsed.bool("interactive");
  checkInputTerminal(isInteractive && tty, tty);
  const plan = await planOneOff(app, parsed, { ...oneOff, tty, isInteractive });
  const session = app.session("Running", true);
  const id = await createContainer(session, plan);
  app.finish();
  if (isDetached) {
    await client.containerStart(id);
    // Compose 1 printed the name, Docker Compose prints the id.
    app.context.print(`${app.isFig ? plan.containerName : id}\n`);
    return 0;
  }
  const { request } = createRequest(plan);
  return await runAttached(app.context, {
    id,
    command: app.isFig ? "fig run" : "compose run",
    request: { ...request, AttachStdin: isInteractive },
    parsed: parseArguments(
      [],
      [
        { name: "sig-proxy", type: "bool", default: true, help: "" },
        { name: "detach-keys", type: "string", help: "" },
      ],
    ),
    detachKeys: detachKeysOf(app.context, ""),
  });
}

async function planOneOff(
  app: ComposeApp,
  parsed: ParsedArguments,
  { project, name, tty, isInteractive }: OneOff & Streams,
): Promise<ContainerPlan> {
  const { client } = app.context;
  const slug = newSlug();
  const service = oneOffService(project, name, { parsed, tty, isInteractive });
  const all = await listContainers(client, project.name);
  const resolved = resolveReferences(
    service,
    (other) => firstByName(all.filter((each) => each.service === other))?.id,
  );
  if (resolved === undefined)
    throw new ComposeError(`service "${name}" shares something with a service that has no container`);
  return {
    project,
    name,
    service: resolved,
    number: 1,
    containerName:
      parsed.string("name") || [project.name, name, "run", slug.slice(0, 12)].join(project.separator),
    image: await client.imageInspect(imageOf(project, name, service)),
    links: linksOf(project, resolved, {
      number: 1,
      containersOf: (other) => all.filter((each) => each.service === other).map((each) => each.name),
      ...(resolved.links === undefined ? {} : { ownService: name }),
    }),
    useAliases: parsed.bool("use-aliases"),
    extraLabels: { [labels.oneOff]: "True", [labels.slug]: slug },
    autoRemove: parsed.bool("rm"),
    attachStdin: isInteractive,
    allNetworks: await hasApi(client, "1.44"),
  };
}
