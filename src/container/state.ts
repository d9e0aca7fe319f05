/** The rules of a container's life as pure functions of its state, and how a state reads. */
import type { ContainerState } from "./container.ts";

/** A duration as people say it, `5 minutes`: the steps and words of Docker's listings. */
export function humanDuration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 1) return "Less than a second";
  if (seconds === 1) return "1 second";
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.floor(seconds / 60);
  if (minutes === 1) return "About a minute";
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.floor(ms / 3_600_000 + 0.5);
  if (hours === 1) return "About an hour";
  if (hours < 48) return `${hours} hours`;
  const days = Math.floor(hours / 24);
  if (hours < 24 * 7 * 2) return `${days} days`;
  if (hours < 24 * 30 * 2) return `${Math.floor(days / 7)} weeks`;
  if (hours < 24 * 365 * 2) return `${Math.floor(days / 30)} months`;
  return `${Math.floor(hours / 24 / 365)} years`;
}

function healthText({ health }: ContainerState): string {
  if (health === undefined) return "";
  return ` (${health.status === "starting" ? "health: starting" : health.status})`;
}

/** The STATUS column: `Up 5 minutes (Paused)`, `Exited (3) 2 hours ago` … `nowMs` is since the epoch. */
export function statusText(state: ContainerState, nowMs: number): string {
  const since = (time: string): string => humanDuration(Math.max(0, nowMs - Date.parse(time)));
  switch (state.status) {
    case "running":
      return `Up ${since(state.startedAt)}${healthText(state)}`;
    case "paused":
      return `Up ${since(state.startedAt)} (Paused)`;
    case "restarting":
      return `Restarting (${state.exitCode}) ${since(state.finishedAt)} ago`;
    case "removing":
      return "Removal In Progress";
    case "dead":
      return "Dead";
    case "created":
      return "Created";
    case "exited":
      return `Exited (${state.exitCode}) ${since(state.finishedAt)} ago`;
  }
}
