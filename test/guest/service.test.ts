/** `npm run test:guest-service`: the daemon as a service of Debian's systemd, in a virtual machine that is started twice. */
import { describe, test } from "node:test";
import { cloudKernel, makeInitramfs } from "./image.ts";
import { boot, guestLimitMs, inGuestDirectory, testResults } from "./run-guest.ts";
import { makeServiceDisk } from "./service-disk.ts";

const isAsked = process.env["GANTRY_TEST_GUEST_SERVICE"] === "1";
const limitMs = 2 * guestLimitMs + 900_000;

describe("service", { skip: !isAsked && "asked for with npm run test:guest-service" }, () => {
  test("in the guest", { timeout: limitMs }, async (context) => {
    await inGuestDirectory(async (directory) => {
      const kernel = await cloudKernel();
      const initramfs = await makeInitramfs(kernel, directory);
      const machine = { kernel, initramfs, disk: await makeServiceDisk(kernel, directory) };
      for (const results of [20, 5])
        await testResults(context, await boot(machine, "systemd.show_status=false"), results);
    });
  });
});
