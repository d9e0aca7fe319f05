/** `gantry system doctor`: is this machine fit for containers, and what would make it so. Needs no daemon. */
import type { DoctorReport, Finding } from "../../wire/doctor.ts";
import { diskRules } from "./disk.ts";
import { firewallRules } from "./firewall.ts";
import { kernelRules } from "./kernel.ts";
import { type Machine, thisMachine } from "./machine.ts";
import { programRules } from "./programs.ts";
import { settingRules } from "./settings.ts";

/** How the daemon is or would be started. */
export interface DaemonPlaces {
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly pidfile: string;
  readonly bridge: string;
  readonly iptables: boolean;
  readonly ipForward: boolean;
  readonly userNamespaceRemap: string;
  readonly defaultRuntime: string;
}

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
