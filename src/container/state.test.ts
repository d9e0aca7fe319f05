import assert from "node:assert/strict";
import { test } from "node:test";
import { type ContainerState, newContainerState } from "./container.ts";
import { humanDuration, statusText } from "./state.ts";

test("durations read as in Docker's listings", () => {
  const second = 1000;
  const hour = 3600 * second;
  const table: [number, string][] = [
    [400, "Less than a second"],
    [1 * second, "1 second"],
    [59 * second, "59 seconds"],
    [60 * second, "About a minute"],
    [120 * second, "2 minutes"],
    [59.5 * 60 * second, "59 minutes"],
    [1 * hour, "About an hour"],
    [1.6 * hour, "2 hours"],
    [47 * hour, "47 hours"],
    [48 * hour, "2 days"],
    [13 * 24 * hour, "13 days"],
    [14 * 24 * hour, "2 weeks"],
    [59 * 24 * hour, "8 weeks"],
    [61 * 24 * hour, "2 months"],
    [729 * 24 * hour, "24 months"],
    [800 * 24 * hour, "2 years"],
  ];
  for (const [ms, text] of table) assert.equal(humanDuration(ms), text);
});

test("every state has its words", () => {
  const now = Date.parse("2026-01-01T12:00:00Z");
  const table: [Partial<ContainerState>, string][] = [
    [{ status: "created" }, "Created"],
    [{ status: "running", startedAt: "2026-01-01T11:55:00Z" }, "Up 5 minutes"],
    [{ status: "paused", startedAt: "2026-01-01T11:55:00Z" }, "Up 5 minutes (Paused)"],
    [
      { status: "restarting", exitCode: 1, finishedAt: "2026-01-01T11:59:56Z" },
      "Restarting (1) 4 seconds ago",
    ],
    [{ status: "exited", exitCode: 3, finishedAt: "2026-01-01T10:00:00Z" }, "Exited (3) 2 hours ago"],
    [{ status: "removing" }, "Removal In Progress"],
    [{ status: "dead" }, "Dead"],
  ];
  for (const [state, text] of table) assert.equal(statusText({ ...newContainerState, ...state }, now), text);
});
