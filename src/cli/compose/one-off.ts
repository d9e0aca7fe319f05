/** A service as `run` wants it: its settings with what the command line says instead. */
import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { ComposeError } from "../../compose/errors.ts";
import { parseDotenv } from "../../compose/file/dotenv.ts";
import { longPorts } from "../../compose/file/ports.ts";
import { longVolume } from "../../compose/file/volumes.ts";
import type { Project, Service, ServicePort, VolumeMount } from "../../compose/model/project.ts";
import { splitWords } from "../../compose/model/shell-words.ts";
import type { ParsedArguments } from "../parser.ts";
import { resolve } from "node:path";

/** What tells one-off containers of a service apart. */
export function newSlug(): string {
  return randomBytes(32).toString("hex");
}

export interface OneOffOptions {
  readonly parsed: ParsedArguments;
  readonly tty: boolean;
  readonly isInteractive: boolean;
}

/** Throws {@link ComposeError} for values that cannot be read. */
export function oneOffService(
  project: Project,
  name: string,
  { parsed, tty, isInteractive }: OneOffOptions,
): Service {
  const { restart: _restart, container_name: _name, deploy, ports, ...kept } = project.services[name]!;
  const command = parsed.positional.slice(1);
  const service: Service = { ...kept, tty, stdin_open: isInteractive, scale: 1 };
  if (deploy !== undefined) {
    const { restart_policy: _policy, ...rest } = deploy;
    service.deploy = rest;
  }
  if (command.length > 0) service.command = command;
  if (parsed.changed("entrypoint")) {
    const words = splitWords(parsed.string("entrypoint"));
    if (words === undefined) throw new ComposeError("invalid entrypoint: its quotes do not end");
    service.entrypoint = words;
    // The command of the image or the service belongs to the other entrypoint.
    if (command.length === 0) service.command = [];
  }
  if (parsed.changed("user")) service.user = parsed.string("user");
  if (parsed.changed("workdir")) service.working_dir = parsed.string("workdir");
  service.environment = environmentOf(project, service, parsed);
  const published = portsOf(parsed, ports);
  if (published.length > 0) service.ports = published;
  capabilities(service, parsed);
  const extra = parsed.list("label").map((text) => pair(text));
  if (extra.length > 0) {
    service.labels = {
      ...service.labels,
      ...Object.fromEntries(extra.map(([key, value]) => [key, value ?? ""])),
    };
  }
  const volumes = parsed.list("volume").map((text) => volumeOf(text));
  if (volumes.length > 0) {
    const targets = new Set(volumes.map(({ target }) => target));
    service.volumes = [...(service.volumes ?? []).filter(({ target }) => !targets.has(target)), ...volumes];
  }
  return service;
}

function pair(text: string): readonly [string, string | null] {
  const equals = text.indexOf("=");
  return equals < 0 ? [text, null] : [text.slice(0, equals), text.slice(equals + 1)];
}

function environmentOf(
  project: Project,
  service: Service,
  parsed: ParsedArguments,
): Record<string, string | null> {
  const environment = { ...service.environment };
  for (const file of parsed.list("env-from-file")) {
    for (const [key, value] of parseDotenv(readFileSync(file, "utf8"), (key) => project.environment[key])) {
      environment[key] = value;
    }
  }
  for (const [key, value] of parsed.list("env").map(pair)) {
    const known = value ?? project.environment[key];
    if (known !== undefined) environment[key] = known;
  }
  return environment;
}

function portsOf(parsed: ParsedArguments, ports: readonly ServicePort[] | undefined): ServicePort[] {
  const own = parsed.bool("service-ports") ? (ports ?? []) : [];
  const extra = parsed.list("publish").flatMap((text) => longPorts(text) as unknown as ServicePort[]);
  return [...own, ...extra];
}

function capabilities(service: Service, parsed: ParsedArguments): void {
  const [add, drop] = [parsed.list("cap-add"), parsed.list("cap-drop")];
  if (add.length > 0) {
    service.cap_add = [...(service.cap_add ?? []), ...add];
    service.cap_drop = (service.cap_drop ?? []).filter((name) => !add.includes(name));
  }
  if (drop.length > 0) {
    service.cap_drop = [...(service.cap_drop ?? []), ...drop];
    service.cap_add = (service.cap_add ?? []).filter((name) => !drop.includes(name));
  }
}

function volumeOf(text: string): VolumeMount {
  const volume = longVolume(text) as unknown as VolumeMount;
  return volume.type === "bind" && volume.source !== undefined
    ? { ...volume, source: resolve(volume.source) }
    : volume;
}
