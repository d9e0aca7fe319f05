/** Ending what is left of a task. */
import { type CgroupLayout, cgroupDirectories, endCgroup } from "../../linux/cgroup.ts";

/** Kills what is in a container's control group, and removes it. No error when there is none. */
export async function endCgroupOf(layout: CgroupLayout, parent: string, id: string): Promise<void> {
  const path = `/${parent}/${id}`.replaceAll(/\/+/g, "/");
  if (cgroupDirectories(layout, path).length > 0) await endCgroup(layout, path);
}
