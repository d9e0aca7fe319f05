/** A drawing of the services in graphviz's language. */
import { imageOf, namesOf, type Project, type Service } from "../../../compose/model/project.ts";
import { CliError } from "../../errors.ts";
import type { ParsedArguments } from "../../parser.ts";
import type { ComposeApp } from "../app.ts";

export const vizFlags = ["image", "indentation-size", "networks", "ports", "spaces"];

/** Prints the drawing. */
export function drawServices(app: ComposeApp, parsed: ParsedArguments): number {
  const size = parsed.number("indentation-size");
  if (size < 0) throw new CliError(`invalid indentation size: ${size}`, 1);
  const indent = (parsed.bool("spaces") ? " " : "\t").repeat(size);
  const project = app.project();
  const more = {
    image: parsed.bool("image"),
    networks: parsed.bool("networks"),
    ports: parsed.bool("ports"),
  };
  const names = namesOf(project.services);
  const nodes = names.map((each) => `"${each}" [style="filled" label=<${label(project, each, more)}>];`);
  const edges = names.flatMap((each) =>
    namesOf(project.services[each]!.depends_on ?? {}).map((other) => `"${each}" -> "${other}";`),
  );
  const lines = (list: readonly string[]): string => list.map((line) => `${indent}${line}\n`).join("");
  const body = `${lines(["layout=dot;", ...nodes])}\n${lines(edges)}`;
  app.context.print(`digraph "${project.name}" {\n${body}}\n\n`);
  return 0;
}

interface Shown {
  readonly image: boolean;
  readonly networks: boolean;
  readonly ports: boolean;
}

/** A node's text, in HTML as graphviz reads it. */
function label(project: Project, name: string, shown: Shown): string {
  const service = project.services[name]!;
  const networks = shown.networks ? networksOf(service) : [];
  const ports = shown.ports ? portsOf(service) : [];
  return [
    `<font point-size="15">${name}</font>`,
    ...(networks.length > 0 ? [small("Networks", `<br/>${networks.join("<br/>")}`)] : []),
    ...(ports.length > 0 ? [small("Ports", `<br/>${ports.join("<br/>")}`)] : []),
    ...(shown.image ? [small("Image", `<br/>${imageOf(project, name, service)}`)] : []),
  ].join("");
}

const small = (title: string, text: string): string =>
  `<font point-size="10"><br/><br/><b>${title}:</b>${text}</font>`;

function networksOf({ networks = {} }: Service): string[] {
  const priority = (name: string): number => networks[name]?.priority ?? 0;
  return namesOf(networks).toSorted((a, b) => priority(b) - priority(a));
}

function portsOf({ ports = [] }: Service): string[] {
  return ports.map(({ host_ip: address, published = "", target, protocol = "tcp", mode = "ingress" }) => {
    const host = address === undefined || address === "" ? "" : `${address}:`;
    return `${host}${published}:${target} (${protocol}, ${mode})`;
  });
}
