/** `gantry system doctor`: is this machine fit for containers, and what would make it so. Needs no daemon. */
import type { DoctorReport, Finding } from "../../wire/doctor.ts";
import { diskRules } from "./disk.ts";
import { firewallRules } from "./firewall.ts";
import { kernelRules } from "./kernel.ts";
import { type DaemonPlaces, type Machine, thisMachine } from "./machine.ts";
import { programRules } from "./programs.ts";
import { settingRules } from "./settings.ts";

/** Looks at everything. Throws never for what it finds. */
export async function examine(places: DaemonPlaces, machine: Machine = thisMachine()): Promise<DoctorReport> {
  const findings: Finding[] = [
    ...kernelRules(machine, places),
    ...(await programRules(machine, places)),
    ...settingRules(machine, places),
    ...firewallRules(machine, places),
    ...diskRules(machine, places),
  ];
  return { Kernel: machine.kernel, Machine: machine.architecture, Findings: findings };
}
