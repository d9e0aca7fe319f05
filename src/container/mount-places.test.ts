import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { isKind } from "../base/errors.ts";
import type { RuntimeMount } from "../oci/runtime-spec.ts";
import { checkMountPlaces } from "./mount-places.ts";

let directory = "";
let rootfs = "";
let volume = "";
before(() => {
  directory = mkdtempSync(join(tmpdir(), "gantry-mount-places-"));
  rootfs = join(directory, "rootfs");
  volume = join(directory, "volume");
  mkdirSync(join(rootfs, "data"), { recursive: true });
  mkdirSync(volume);
  symlinkSync("/proc", join(rootfs, "kernel"));
  symlinkSync("../../dev", join(rootfs, "devices"));
  symlinkSync("/proc", join(volume, "way"));
  symlinkSync("loop", join(volume, "loop"));
});
after(() => rmSync(directory, { recursive: true }));

const bind = (source: string, destination: string): RuntimeMount => ({
  destination,
  type: "bind",
  source: source === "VOLUME" ? volume : source,
  options: ["rbind"],
});
const tmpfs = (destination: string): RuntimeMount => ({
  destination,
  type: "tmpfs",
  source: "tmpfs",
  options: [],
});

const table: readonly (readonly [string, readonly (() => RuntimeMount)[], RegExp | undefined])[] = [
  ["anywhere else", [() => bind("VOLUME", "/data"), () => tmpfs("/run")], undefined],
  ["the host's own /proc and /dev", [() => bind("/proc", "/proc"), () => bind("/dev", "/dev")], undefined],
  ["the host's /proc at another place", [() => bind("/proc", "/host/proc")], undefined],
  ["files that are served for containers", [() => bind("VOLUME", "/proc/uptime")], undefined],
  ["an empty directory over a masked one", [() => tmpfs("/proc/acpi")], undefined],
  ["below /dev", [() => bind("VOLUME", "/dev/data"), () => tmpfs("/dev/shm")], undefined],
  ["an empty /dev", [() => tmpfs("/dev")], undefined],
  ["over /proc", [() => bind("VOLUME", "/proc")], /not of type proc/],
  ["an empty /proc", [() => tmpfs("/proc")], /not of type proc/],
  ["inside /proc", [() => bind("VOLUME", "/proc/sys")], /inside \/proc/],
  ["inside /proc by dots", [() => bind("VOLUME", "/data/../proc/sys/net")], /inside \/proc/],
  ["inside /proc by a link of the image", [() => bind("VOLUME", "/kernel/sys")], /inside \/proc/],
  ["over /proc by a link of the image", [() => bind("VOLUME", "/kernel")], /not of type proc/],
  [
    "inside /proc by a link of another mount",
    [() => bind("VOLUME", "/data"), () => bind("VOLUME", "/data/way/sys")],
    /inside \/proc/,
  ],
  ["over /dev", [() => bind("VOLUME", "/dev")], /masked with the \/dev\/null/],
  ["over /dev by a link of the image", [() => bind("VOLUME", "/devices")], /masked with the \/dev\/null/],
  [
    "a link that leads to itself",
    [() => bind("VOLUME", "/data"), () => bind("VOLUME", "/data/loop/x")],
    /too many symbolic links/,
  ],
];
for (const [name, mounts, refusal] of table)
  test(`a mount: ${name}`, () => {
    const check = (): void =>
      checkMountPlaces(
        rootfs,
        mounts.map((make) => make()),
        { masksPaths: true },
      );
    if (refusal === undefined) check();
    else
      assert.throws(check, (error) => {
        assert.ok(isKind(error, "invalidArgument"));
        assert.match(error.message, refusal);
        return true;
      });
  });

test("where nothing is masked a mount over /dev harms nobody", () => {
  checkMountPlaces(rootfs, [bind("VOLUME", "/dev")], { masksPaths: false });
});
