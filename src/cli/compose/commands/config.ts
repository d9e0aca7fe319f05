import { writeFileSync } from "node:fs";
import { variablesOf } from "../../../compose/file/interpolate.ts";
import { loadModel } from "../../../compose/load.ts";
import { modelText, projectText } from "../../../compose/model/output.ts";
import { serviceHash } from "../../../compose/model/service-hash.ts";
import { imageOf, namesOf, type Project } from "../../../compose/model/project.ts";
import { isMap, type Tree } from "../../../compose/tree.ts";
import { CliError } from "../../errors.ts";
import { alignTabs } from "../../output/tab-writer.ts";
import type { ParsedArguments } from "../../parser.ts";
import { composeCommand, composeTable, oneOf, type ComposeApp } from "../app.ts";
import { withDigests } from "../image-digests.ts";

export default composeCommand({
  name: "config",
  offline: true,
  otherNames: ["convert"],
  usage: "[OPTIONS] [SERVICE...]",
  short: "Show what the files say, in one form",
  examples: [
    ["gantry compose config --quiet", "only look whether the files are right"],
    ["gantry compose config --hash '*'", "the hashes by which changed services are known"],
  ],
  completes: "services",
  flags: [
    { name: "environment", type: "bool", help: "Show the variables that files are read with alone" },
    {
      name: "format",
      type: "string",
      default: "yaml",
      placeholder: "KIND",
      help: "How it is shown: yaml or json",
      validate: oneOf("yaml", "json"),
    },
    {
      name: "hash",
      type: "string",
      placeholder: "SERVICES",
      help: "Show hashes of services, comma-separated, or of all: *",
    },
    { name: "images", type: "bool", help: "Show the names of the images alone" },
    { name: "no-consistency", type: "bool", help: "Leave out the checks of the whole" },
    { name: "no-interpolate", type: "bool", help: "Leave variables as they are" },
    { name: "no-normalize", type: "bool", help: "Leave out what is implied" },
    { name: "no-path-resolution", type: "bool", help: "Leave relative paths as they are" },
    { name: "output", short: "o", type: "string", placeholder: "FILE", help: "Write to a file" },
    { name: "profiles", type: "bool", help: "Show the names of the profiles alone" },
    { name: "quiet", short: "q", type: "bool", help: "Show nothing: only whether the files are right" },
    {
      name: "resolve-image-digests",
      type: "bool",
      help: "Name images by what their tags are in the registry now",
    },
    { name: "services", type: "bool", help: "Show the names of the services alone" },
    { name: "variables", type: "bool", help: "Show the variables that the files name, and their defaults" },
    { name: "volumes", type: "bool", help: "Show the names of the volumes alone" },
  ],
  async run(app, parsed) {
    const text = await configText(app, parsed);
    if (parsed.bool("quiet")) return 0;
    const output = parsed.string("output");
    if (output === "") app.context.print(text);
    else writeFileSync(output, text);
    return 0;
  },
});

const lines = (list: readonly string[]): string => list.map((line) => `${line}\n`).join("");

async function configText(app: ComposeApp, parsed: ParsedArguments): Promise<string> {
  const load = {
    normalize: !parsed.bool("no-normalize"),
    resolvePaths: !parsed.bool("no-path-resolution"),
    consistency: !parsed.bool("no-consistency"),
  };
  const names = parsed.positional;
  const unresolved = (services: readonly string[] = []): Project =>
    app.project(services, { load: { ...load, resolveEnvironment: false } });
  if (parsed.bool("services")) return lines(namesOf(unresolved().services));
  if (parsed.bool("volumes")) return lines(namesOf(unresolved().volumes));
  if (parsed.string("hash") !== "") return hashes(unresolved(), parsed.string("hash"));
  if (parsed.bool("profiles")) return lines(profiles(unresolved(names)));
  if (parsed.bool("images")) {
    const project = unresolved(names);
    return lines(namesOf(project.services).map((name) => imageOf(project, name, project.services[name]!)));
  }
  if (parsed.bool("environment")) {
    const known = Object.entries(unresolved(names).environment).sort(([a], [b]) => (a < b ? -1 : 1));
    return lines(known.map(([name, value]) => `${name}=${value}`));
  }
  if (parsed.bool("variables")) return variables(app);
  const format = parsed.string("format") === "json" ? "json" : "yaml";
  if (parsed.bool("no-interpolate")) {
    return modelText(loadModel({ ...app.loadOptions, ...load, interpolate: false }).tree, format);
  }
  const project = app.project(names, { load });
  return projectText(
    parsed.bool("resolve-image-digests") ? await withDigests(app, project) : project,
    format,
  );
}

function hashes(project: Project, wanted: string): string {
  const names = wanted === "*" ? namesOf(project.services) : wanted.split(",").sort();
  return lines(
    names.map((name) => {
      const service = project.services[name];
      if (service === undefined) throw new CliError(`no such service: ${name}: not found`, 1);
      return `${name} ${serviceHash(service)}`;
    }),
  );
}

function profiles(project: Project): string[] {
  const all = Object.values({ ...project.services, ...project.disabled });
  return [...new Set(all.flatMap((service) => service.profiles ?? []))].sort();
}

/** Variables with whether they must be set, their default, and what stands for them when they are set. */
function variables(app: ComposeApp): string {
  const { tree } = loadModel({ ...app.loadOptions, interpolate: false, normalize: false });
  const found = new Map<string, string>();
  const walk = (value: Tree): void => {
    if (typeof value === "string") {
      for (const use of variablesOf(value)) {
        found.set(
          use.name,
          [use.name, String(use.isRequired), use.defaultValue, use.presenceValue].join("\t"),
        );
      }
    } else
      for (const each of Array.isArray(value) ? value : isMap(value) ? Object.values(value) : []) walk(each);
  };
  walk(tree);
  const rows = [...found.keys()].sort().map((name) => found.get(name)!);
  return alignTabs(lines(["NAME\tREQUIRED\tDEFAULT VALUE\tALTERNATE VALUE", ...rows]), composeTable);
}
