import { join } from "node:path";
import { factsOf } from "../../compose/unchanged/facts.ts";
import { writeMemo } from "../../compose/unchanged/memo.ts";
import { wantedOf } from "../../compose/act/observe.ts";
import { noteAnswers, readText, kindAt, type DiskAnswers } from "../../compose/file/disk.ts";
import type { Project } from "../../compose/model/project.ts";
import { resolveReferences } from "../../compose/plan.ts";
import { keptEvent, type Converged } from "../../compose/up.ts";
import type { ComposeApp } from "./app.ts";

/** An `up -d` that is over. */
export interface Run extends Pick<Converged, "seen" | "containers"> {
  readonly project: Project;
  /** What the files were like that the project is from. */
  readonly disk: DiskAnswers;
}

/**
 * Notes what this run of `up -d`, which had nothing to do, went by (`compose/unchanged/memo.ts`). Not noted is what another
 * run would tell anew, or what depends on more than is noted: warnings, a daemon elsewhere, another context, services that
 * name others' containers, containers of Docker Compose 1, which were looked at one by one.
 */
export async function rememberUnchanged(
  app: ComposeApp,
  { project, disk, seen, containers }: Run,
): Promise<void> {
  const { context } = app;
  const { host, tls } = context.endpoint();
  const isHere = host.startsWith("unix://") && tls === undefined && context.contextName() === "default";
  const services = Object.values(project.services);
  if (
    app.hasWarned ||
    !isHere ||
    (seen.asWanted?.size ?? 0) > 0 ||
    services.some((service) => resolveReferences(service, () => undefined) === undefined)
  )
    return;
  // Which context is the current one is in the client's settings.
  const settings = join(context.configDirectory, "config.json");
  const { answers } = noteAnswers(() => (kindAt(settings) === "file" ? readText(settings) : ""));
  writeMemo(
    { words: context.words, env: context.env, cwd: process.cwd() },
    {
      host,
      apiVersion: await context.client.apiVersion(),
      disk: { ...disk, ...answers },
      wanted: wantedOf(project),
      facts: factsOf(seen),
      view: app.view,
      events: [...containers.values()].flat().map(({ name }) => keptEvent(name, true)),
    },
  );
}
