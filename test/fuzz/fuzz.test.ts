/**
 * `npm run test:fuzz`: requests made from Docker's API description, with values that fit, values that do not, and bytes
 * that are no request. No answer may be a 500, the daemon must live, log no failure and keep nothing.
 *
 * GANTRY_FUZZ_REQUESTS is how many (1,000 when not given), GANTRY_FUZZ_SEED repeats a run's requests.
 */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { assertNoLeaks, takeSettledSnapshot } from "../helpers/leak-check.ts";
import { campaign } from "./campaign.ts";
import { clear } from "./garden.ts";

const requests = Number(process.env["GANTRY_FUZZ_REQUESTS"] ?? 1_000);
// The short form asks the same each time; the long form looks for what nobody has seen.
const isLong = process.env["GANTRY_FUZZ_REQUESTS"] !== undefined;
const seed = Number(process.env["GANTRY_FUZZ_SEED"] ?? (isLong ? randomInt(1_000_000) : 1));
const lanes = 6;

describe(
  "requests from the API's description",
  { skip: process.env["GANTRY_TEST_ENGINE"] === "docker" },
  () => {
    test(`${requests} requests (seed ${seed})`, { timeout: 300_000 + requests * 100 }, async () => {
      await using daemon = await TestDaemon.start();
      await ensureBusybox(daemon);
      const directory = join(daemon.root, "host");
      await mkdir(directory);
      const options = { seed, lanes, directory };
      // What is opened or made once and kept is no leak.
      await daemon.dockerOk(["build", "-q", "-"], {
        input: `FROM ${busybox}\nRUN true\n`,
        env: { DOCKER_BUILDKIT: "0" },
        timeoutMs: 60_000,
      });
      await daemon.dockerOk(["run", "--rm", busybox, "true"]);
      await campaign(daemon, { ...options, requests: 240 });
      await clear(daemon);
      const baseline = await takeSettledSnapshot(daemon);
      const outcome = await campaign(daemon, { ...options, requests });
      console.log(
        `# ${outcome.sent} requests, seed ${seed}, statuses ${JSON.stringify([...outcome.statuses].toSorted(([a], [b]) => a - b))}, ${outcome.reached.size} operations reached`,
      );
      assert.deepEqual(outcome.findings, [], `seed ${seed}:\n${outcome.findings.join("\n")}`);
      assert.ok(await daemon.ping(), "the daemon answers");
      const failures = (await daemon.log())
        .split("\n")
        .filter((line) => /level=(error|fatal)|    at /.test(line));
      assert.deepEqual(
        // Both ends: an address may be long, and what is wrong stands behind it.
        failures.map((line) =>
          line.length < 5_000 ? line : `${line.slice(0, 2_500)} … ${line.slice(-2_500)}`,
        ),
        [],
        `seed ${seed}`,
      );
      await clear(daemon);
      await assertNoLeaks(daemon, baseline, { settleMs: 30_000 });
    });
  },
);
