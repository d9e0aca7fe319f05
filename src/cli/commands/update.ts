import type { HostConfig } from "../../wire/container.ts";
import type { Command } from "../command.ts";
import { forEachName } from "../each.ts";
import { CliError } from "../errors.ts";
import { containerFlags } from "../run/flags.ts";
import { restartPolicy } from "../run/request.ts";

const names = new Set(
  (
    "blkio-weight cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus cpuset-cpus cpuset-mems " +
    "kernel-memory memory memory-reservation memory-swap pids-limit"
  ).split(" "),
);

const command: Command = {
  path: "update",
  aliases: ["container update"],
  usage: "[OPTIONS] CONTAINER [CONTAINER...]",
  short: "Change limits and restart policy of containers",
  section: "other",
  flags: [
    ...containerFlags.filter((flag) => names.has(flag.name)),
    {
      name: "restart",
      type: "string",
      help: "When to start it again: no, on-failure[:n], always, unless-stopped",
    },
  ],
  args: { min: 1 },
  completes: "containers",
  async run(context, parsed) {
    const number = (name: string): number | undefined =>
      parsed.changed(name) ? parsed.number(name) : undefined;
    const text = (name: string): string | undefined =>
      parsed.changed(name) ? parsed.string(name) : undefined;
    const change = withoutMissing({
      BlkioWeight: number("blkio-weight"),
      CpuPeriod: number("cpu-period"),
      CpuQuota: number("cpu-quota"),
      CpuRealtimePeriod: number("cpu-rt-period"),
      CpuRealtimeRuntime: number("cpu-rt-runtime"),
      CpuShares: number("cpu-shares"),
      NanoCpus: number("cpus"),
      CpusetCpus: text("cpuset-cpus"),
      CpusetMems: text("cpuset-mems"),
      Memory: number("memory"),
      MemoryReservation: number("memory-reservation"),
      MemorySwap: number("memory-swap"),
      PidsLimit: number("pids-limit"),
      RestartPolicy: parsed.changed("restart") ? restartPolicy(parsed.string("restart")) : undefined,
    });
    if (Object.keys(change).length === 0)
      throw new CliError("you must provide one or more flags when using this command");
    const warnings: string[] = [];
    const code = await forEachName(context, parsed.positional, async (name) => {
      warnings.push(...(await context.client.containerUpdate(name, change)));
      return name;
    });
    for (const warning of warnings) context.printError(warning);
    return code;
  },
};

export default command;

function withoutMissing(change: Readonly<Record<string, unknown>>): HostConfig {
  return Object.fromEntries(Object.entries(change).filter(([, value]) => value !== undefined));
}
