import assert from "node:assert/strict";
import { test } from "node:test";
import type { Client } from "../../client/client.ts";
import type { FollowOptions } from "./follow-track.ts";
import { LogView } from "./log-view.ts";
import { TrackOutput } from "./track-output.ts";

const beganMs = Date.UTC(2030, 0, 1);

function outputOf(aheadMs: number): { output: TrackOutput; asked: () => number } {
  let asked = 0;
  const info = (): Promise<object> => {
    asked++;
    return Promise.resolve({ SystemTime: new Date(Date.now() + aheadMs).toISOString() });
  };
  const options: FollowOptions = {
    project: "p",
    timestamps: true,
    beganMs,
    isOfInterest: () => true,
    warn: () => {},
  };
  const view = new LogView({ colours: false, prefix: true, onTerminal: () => false });
  const { signal } = new AbortController();
  const output = new TrackOutput({ client: { info } as unknown as Client, view, options, signal });
  return { output, asked: () => asked };
}

test("the daemon is asked for its clock once, however many containers there are", async () => {
  const hourMs = 3_600_000;
  const { output, asked } = outputOf(hourMs);
  const times = await Promise.all([output.beginning(), output.beginning(), output.beginning()]);
  times.push(await output.beginning());
  assert.equal(asked(), 1);
  assert.equal(new Set(times).size, 1);
  // The answer took a while, half of which is not the clock's.
  assert.ok(Math.abs(Date.parse(times[0]!) - beganMs - hourMs) < hourMs / 2, times.join());
});
