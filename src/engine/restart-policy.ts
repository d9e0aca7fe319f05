import type { ContainerRecord } from "../container/container.ts";

const firstDelayMs = 100;
const maxDelayMs = 60_000;
/** A run that lasted this long sets the delay back. */
const steadyMs = 10_000;

/** Whether Docker's restart policies start a container again after this exit. */
export function wantsRestart(container: ContainerRecord): boolean {
  const { Name: policy = "no", MaximumRetryCount: most = 0 } = container.hostConfig.RestartPolicy ?? {};
  const { exitCode, stoppedByUser } = container.state;
  if (stoppedByUser) return false;
  if (policy === "always" || policy === "unless-stopped") return true;
  return policy === "on-failure" && exitCode !== 0 && (most === 0 || container.restartCount < most);
}

/** Whether a container is started when the daemon starts; `always` also after the user had stopped it. */
export function wantsStartWithDaemon(container: ContainerRecord): boolean {
  if (container.state.status === "created") return false;
  return container.hostConfig.RestartPolicy?.Name === "always" || wantsRestart(container);
}

/** The delay before the next restart in ms: 100 ms, doubling to a minute, and from the start again after a steady run. */
export function nextDelayMs(lastDelayMs: number, ranMs: number): number {
  if (lastDelayMs === 0 || ranMs >= steadyMs) return firstDelayMs;
  return Math.min(lastDelayMs * 2, maxDelayMs);
}
