import { rfc3339Nano } from "../../base/time.ts";
import type { EventMessage } from "../../wire/system.ts";
import type { Command } from "../command.ts";
import { CliError } from "../errors.ts";
import { eventsFlags } from "../flags/events.ts";
import { goLocalTime } from "../output/humanize.ts";
import { apiTimestamp } from "../output/timestamps.ts";

const command: Command = {
  path: "events",
  aliases: ["system events"],
  usage: "[OPTIONS]",
  short: "Show what happens in the daemon, as it happens",
  args: { min: 0, max: 0 },
  flags: eventsFlags,
  async run(context, parsed) {
    const format = parsed.string("format");
    const print = format === "" ? eventLine : await templatePrinter(format);
    const [since, until] = [timeOf(parsed.string("since")), timeOf(parsed.string("until"))];
    const events = context.client.events({
      filters: parsed.filters("filter"),
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
    });
    for await (const event of events) context.print(`${print(event)}\n`);
    return 0;
  },
};

function timeOf(text: string): string | undefined {
  if (text === "") return undefined;
  try {
    return apiTimestamp(text);
  } catch (error) {
    throw new CliError((error as Error).message, 1, { cause: error });
  }
}

/** `TIME TYPE ACTION ID (key=value, …)`, with the time to the nanosecond in the local zone. */
function eventLine(event: EventMessage): string {
  const attributes = Object.entries(event.Actor.Attributes ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(", ");
  const details = attributes === "" ? "" : ` (${attributes})`;
  return `${eventTime(event)} ${event.Type} ${event.Action} ${event.Actor.ID}${details}`;
}

function eventTime({ time, timeNano }: EventMessage): string {
  if (timeNano === 0) return String(time);
  // JSON numbers of this size have lost their last digits; microseconds are what is left of them.
  const fraction = rfc3339Nano(BigInt(Math.round(timeNano / 1000)) * 1000n).match(/\.(\d+)Z$/)?.[1] ?? "";
  const [date, clock, offset] = goLocalTime(Math.floor(timeNano / 1e9)).split(" ") as [
    string,
    string,
    string,
  ];
  const zone = offset === "+0000" ? "Z" : `${offset.slice(0, 3)}:${offset.slice(3)}`;
  return `${date}T${clock}.${fraction.padEnd(9, "0")}${zone}`;
}

/** A template that is wrong is told in other words than by the rest of the commands, with the exit code of `EX_USAGE`. */
async function templatePrinter(format: string): Promise<(event: EventMessage) => string> {
  if (format === "json" || format === "{{json .}}") return (event) => JSON.stringify(event);
  const { compile, execute, exitBadFormat, unescapeBlanks } = await import("../output/table.ts");
  const { GoStruct, structsFromJson } = await import("../../base/template/values.ts");
  const template = inEventWords(exitBadFormat, () => compile(unescapeBlanks(format)));
  const shape = { maps: new Set(["Attributes"]), pointers: new Set<string>(), zeros: {} };
  const print = (event: EventMessage): string => {
    const value = structsFromJson(event, shape);
    if (!(value instanceof GoStruct)) return "";
    const { time, timeNano, scope, ...fields } = value.fields;
    // Go's names of the fields that JSON writes in small letters, and of those that old daemons send.
    const aliases = {
      Time: time,
      TimeNano: timeNano,
      Scope: scope,
      ID: event.Actor.ID,
      Status: event.Action,
    };
    const data = new GoStruct("*events.Message", fields, { ...aliases, From: "", scope, time, timeNano });
    return inEventWords(exitBadFormat, () => execute(template, data));
  };
  // Tried once beforehand: a wrong one would else be told at the first event only.
  print(noEvent);
  return print;
}

const noEvent: EventMessage = {
  Type: "",
  Action: "",
  Actor: { ID: "", Attributes: {} },
  scope: "local",
  time: 0,
  timeNano: 0,
};

function inEventWords<T>(exitCode: number, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const message = error.message.replace(/^template parsing error/, "Error parsing format");
    throw new CliError(message, exitCode, { cause: error });
  }
}

export default command;
