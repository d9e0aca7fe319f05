import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { conflict, EngineError, errorText, invalidArgument } from "../base/errors.ts";
import type { TopResponse } from "../wire/container.ts";
import { emitContainer, type EngineContext, taskRuntime } from "./context.ts";

const run = promisify(execFile);

/**
 * The processes of a container, as the host's ps(1) shows them. `psArguments` are its options (default `-ef`); the
 * output must have a PID column. Throws `conflict` when the container does not run, `invalidArgument` for what ps refuses.
 */
export async function containerTop(
  context: EngineContext,
  nameOrId: string,
  psArguments: string,
): Promise<TopResponse> {
  const container = context.containers.resolve(nameOrId);
  if (container.state.status !== "running" && container.state.status !== "paused")
    throw conflict(`container ${container.id} is not running`);
  const words = (psArguments === "" ? "-ef" : psArguments).split(/\s+/).filter((word) => word !== "");
  for (const word of words)
    if (!/^[\w\-.,:=+%/]+$/.test(word)) throw invalidArgument(`invalid ps argument: ${word}`);
  const pids = new Set(await context.monitor.pids(container.id, taskRuntime(context, container)));
  let output: string;
  try {
    ({ stdout: output } = await run("ps", words, { maxBuffer: 16 * 1024 * 1024 }));
  } catch (error) {
    if ((error as { code?: unknown }).code === "ENOENT")
      throw new EngineError(
        "unavailable",
        "cannot list processes: the program ps is not installed on the host",
        {
          hint: "Install the package procps.",
        },
      );
    const { stderr = "" } = error as { stderr?: string };
    const [first = ""] = stderr.trim().split("\n");
    throw invalidArgument(`ps: ${first === "" ? errorText(error) : first}`);
  }
  const listed = parsePs(output, pids);
  emitContainer(context, container, "top");
  return listed;
}

/** Keeps the lines of ps whose PID is in the set. The last column takes the rest of the line. Throws without a PID column. */
function parsePs(output: string, pids: ReadonlySet<number>): TopResponse {
  const lines = output.split("\n").filter((line) => line !== "");
  const titles = (lines[0] ?? "").trim().split(/\s+/);
  const pidColumn = titles.indexOf("PID");
  if (pidColumn < 0) throw invalidArgument("Couldn't find PID field in ps output");
  const processes: string[][] = [];
  for (const line of lines.slice(1)) {
    const fields = line.trim().split(/\s+/);
    if (!pids.has(Number(fields[pidColumn]))) continue;
    const last = titles.length - 1;
    processes.push([...fields.slice(0, last), fields.slice(last).join(" ")]);
  }
  return { Titles: titles, Processes: processes };
}
