/**
 * A process that looks like a daemon to the helpers (it answers pings and has no containers) and leaks a descriptor when
 * told to: SIGUSR1 opens one, SIGUSR2 closes it. It lets the leak check be tested apart from any engine.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { TestDaemon } from "./daemon.ts";

const program = `
  const fs = require("node:fs");
  let leaked;
  process.on("SIGUSR1", () => (leaked = fs.openSync("/etc/hostname")));
  process.on("SIGUSR2", () => fs.closeSync(leaked));
  require("node:http")
    .createServer((request, response) => {
      response.setHeader("Content-Type", "application/json");
      response.setHeader("Connection", "close");
      response.end(request.url.includes("containers/json") ? "[]" : "OK");
    })
    .listen(process.argv[1]);
`;

export async function startIdleDaemon(): Promise<TestDaemon> {
  const daemon = await TestDaemon.prepare({
    flavour: "gantry",
    program: (self) => [process.execPath, "-e", program, self.socket],
  });
  await mkdir(join(daemon.execRoot, "already-there"), { recursive: true });
  await mkdir(daemon.dataRoot);
  await daemon.launch();
  return daemon;
}
