/** Local volumes' directories against their records. Plugins keep their own. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { hasVolumeDirectory, holdsData, volumeNameForm } from "../../volume/local-driver.ts";
import type { CheckedStore, Found } from "./store.ts";

export function checkVolumes(store: CheckedStore): Found[] {
  const root = join(store.dataRoot, "volumes");
  const found: Found[] = [];
  const local = new Map(
    store
      .volumes()
      .filter(({ Driver }) => Driver === "local")
      .map((volume) => [volume.Name, volume]),
  );
  for (const name of existsSync(root) ? readdirSync(root) : []) {
    // The file system's, where the volumes have one of their own.
    if (local.has(name) || name === "lost+found") continue;
    const path = join(root, name);
    if (volumeNameForm.test(name) && holdsData(path))
      found.push({
        kind: "volume-unrecorded",
        object: name,
        message: `its files are in ${path}, its record is lost`,
      });
    else
      found.push({
        kind: "volume-leftover",
        object: path,
        message: "an empty volume without a record, or one that was being removed",
      });
  }
  const containers = store.containers.list();
  for (const name of local.keys()) {
    if (hasVolumeDirectory(join(root, name))) continue;
    const users = containers.filter(({ mounts }) => mounts.some((mount) => mount.Name === name));
    found.push({
      kind: "volume-missing",
      object: name,
      message:
        users.length === 0
          ? "its directory is not there; no container has it"
          : `its directory is not there; used by ${users.map((user) => user.name).join(", ")}`,
      isRepairable: users.length === 0,
      ...(users.length === 0 ? {} : { remedy: `bring its files back to ${join(root, name, "_data")}` }),
    });
  }
  return found;
}
