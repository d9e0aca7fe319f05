import { ComposeError } from "../../../compose/errors.ts";
import { composeCommand, indexFlag } from "../app.ts";
import { containersOf } from "../containers.ts";
import { boolWords, delegate } from "../delegate.ts";

export default composeCommand({
  name: "cp",
  usage:
    "[OPTIONS] SERVICE:SRC_PATH DEST_PATH|-\n       gantry compose cp [OPTIONS] SRC_PATH|- SERVICE:DEST_PATH",
  short: "Copy files between containers of a service and this machine",
  args: { min: 2, max: 2 },
  completes: "services",
  flags: [
    { name: "all", type: "bool", help: "Copy to every container of the service, those of run too" },
    { name: "archive", short: "a", type: "bool", help: "Keep user and group of what is copied" },
    { name: "follow-link", short: "L", type: "bool", help: "Copy what a link in SRC_PATH leads to" },
    indexFlag,
  ],
  async run(app, parsed) {
    const [source = "", target = ""] = parsed.positional;
    const [from, to] = [serviceOf(source), serviceOf(target)];
    if (from !== undefined && to !== undefined) {
      throw new ComposeError("copying between services is not supported");
    }
    const service = from ?? to;
    if (service === undefined)
      throw new ComposeError("unknown copy direction: name a service, as in web:/path");
    const oneOff = parsed.bool("all") ? "include" : "exclude";
    const { containers } = await containersOf(app, [service], { oneOff });
    const index = parsed.number("index");
    const numbered = containers.filter(({ number }) => index === 0 || number === index);
    // Into all of a service's containers, out of the first.
    const wanted = from === undefined ? numbered : numbered.slice(0, 1);
    if (wanted.length === 0) {
      const number = index > 0 ? ` container #${index}` : "";
      throw new ComposeError(`service "${service}" is not running${number}`);
    }
    for (const { id, name } of wanted) {
      const words = [
        ...boolWords("archive", parsed.bool("archive")),
        ...boolWords("follow-link", parsed.bool("follow-link")),
        "--quiet",
        from === undefined ? source : `${id}:${source.slice(from.length + 1)}`,
        to === undefined ? target : `${id}:${target.slice(to.length + 1)}`,
      ];
      if (app.isDryRun) app.context.print(`Container ${name}  copy ${source} to ${target}\n`);
      else await delegate(app, () => import("../../commands/cp.ts"), words);
    }
    return 0;
  },
});

/** The service of `SERVICE:PATH`; undefined for a path of this machine. */
function serviceOf(text: string): string | undefined {
  if (/^[./]/.test(text)) return undefined;
  const colon = text.indexOf(":");
  return colon > 0 ? text.slice(0, colon) : undefined;
}
