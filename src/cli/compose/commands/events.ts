import { rfc3339Nano } from "../../../base/time.ts";
import { labels } from "../../../compose/labels.ts";
import { goLocalTime } from "../../output/humanize.ts";
import { composeCommand } from "../app.ts";

export default composeCommand({
  name: "events",
  usage: "[OPTIONS] [SERVICE...]",
  short: "Show what happens to containers of services, as it happens",
  completes: "services",
  flags: [
    { name: "json", type: "bool", help: "Show each event as JSON" },
    { name: "since", type: "string", help: "Begin with events since a time" },
    { name: "until", type: "string", help: "End at a time" },
  ],
  async run(app, parsed) {
    const { context } = app;
    const { name } = app.projectOrName();
    const services = parsed.positional;
    const query = Object.fromEntries(
      (["since", "until"] as const).flatMap((flag) =>
        parsed.changed(flag) ? [[flag, parsed.string(flag)] as const] : [],
      ),
    );
    const events = context.client.events({
      filters: { type: ["container"], label: [`${labels.project}=${name}`] },
      ...query,
    });
    for await (const { Action: action, Actor: actor, time: seconds, timeNano } of events) {
      const own = actor.Attributes;
      const service = own[labels.service] ?? "";
      if (own[labels.oneOff] === "True" || (services.length > 0 && !services.includes(service))) continue;
      const attributes = Object.fromEntries(
        Object.entries(own)
          .filter(([key]) => !key.startsWith("com.docker.compose."))
          .sort(([a], [b]) => (a < b ? -1 : 1)),
      );
      const time = rfc3339Nano(BigInt(timeNano));
      if (parsed.bool("json")) {
        // In the order of Docker Compose, which sorts the names.
        context.print(
          `${JSON.stringify({ action, attributes, id: actor.ID, service, time, type: "container" })}\n`,
        );
        continue;
      }
      const list = Object.entries(attributes).map(([key, value]) => `${key}=${value}`);
      const micros = String(Math.trunc(timeNano / 1000) % 1_000_000).padStart(6, "0");
      const stamp = `${goLocalTime(seconds).slice(0, 19)}.${micros}`;
      context.print(`${stamp} container ${action} ${actor.ID} (${list.join(", ")})\n`);
    }
    return 0;
  },
});
