/** Both engines on one machine: dockerd's firewall drops what it does not know, and neither is in the other's way. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { flavour, TestDaemon } from "../helpers/daemon.ts";
import { busybox, ensureBusybox } from "../helpers/images.ts";
import { eventually, mustRun } from "../helpers/process.ts";
import { connectOutside, openTestHost } from "../helpers/test-host.ts";

const server = ["nc", "-ll", "-p", "80", "-e", "echo"];

test(
  "a Docker that starts later, and one that was there before",
  { skip: flavour === "docker" },
  async () => {
    await using host = await openTestHost();
    await using outside = await connectOutside(host);
    await using gantry = await TestDaemon.start({ flavour: "gantry", host });
    await ensureBusybox(gantry);
    const reaches = async (port: number, text: string): Promise<void> =>
      eventually(
        async () => {
          const asked = await outside.run([
            "sh",
            "-c",
            `busybox nc -w 2 ${outside.hostAddress} ${port} </dev/null`,
          ]);
          return asked.stdout.trim() === text;
        },
        { timeoutMs: 60_000, what: `${text} at port ${port}` },
      );
    await gantry.dockerOk(["run", "-d", "--name", "ours", "-p", "18401:80", busybox, ...server, "ours"]);
    await reaches(18_401, "ours");
    await using docker = await TestDaemon.start({ flavour: "docker", host });
    await ensureBusybox(docker);
    await docker.dockerOk(["run", "-d", "--name", "theirs", "-p", "18402:80", busybox, ...server, "theirs"]);
    // What dockerd does when it is the one that switches forwarding on.
    await mustRun(host.command(["iptables", "-P", "FORWARD", "DROP"]));
    await reaches(18_402, "theirs");
    await reaches(18_401, "ours");
    const out = await gantry.docker(["run", "--rm", busybox, "ping", "-c1", "-w5", outside.address]);
    assert.equal(out.code, 0, out.stdout);
    // Now Docker is there before us, and stays when we go.
    await gantry.removeContainers();
    await gantry.stop();
    const left = await host.run(["nft", "list", "ruleset"]);
    assert.doesNotMatch(left.stdout, /gantry/);
    await reaches(18_402, "theirs");
    await gantry.launch();
    await gantry.dockerOk(["run", "-d", "--name", "ours", "-p", "18401:80", busybox, ...server, "ours"]);
    await reaches(18_401, "ours");
    await reaches(18_402, "theirs");
    await gantry.removeContainers();
    await docker.removeContainers();
  },
);
