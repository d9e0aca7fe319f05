/** Local volumes' directories against their records. Plugins keep their own. */
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { ContainerRecord } from "../../container/container.ts";
import {
  hasVolumeDirectory,
  holdsData,
  isRemovalLeftover,
  volumeNameForm,
} from "../../volume/local-driver.ts";
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
    else if (isRemovalLeftover(name) || isEmptyVolume(path))
      found.push({
        kind: "volume-leftover",
        object: path,
        message: "an empty volume without a record, or one that was being removed",
      });
  }
  const containers = store.containers.list();
  const isAnyThere = [...local.keys()].some((name) => hasVolumeDirectory(join(root, name)));
  for (const name of local.keys()) {
    if (hasVolumeDirectory(join(root, name))) continue;
    const users = containers.filter(({ mounts }) => mounts.some((mount) => mount.Name === name));
    found.push({ kind: "volume-missing", object: name, ...missing(join(root, name), users, isAnyThere) });
  }
  return found;
}

/** `isAnyThere`: of the others. */
function missing(
  path: string,
  users: readonly ContainerRecord[],
  isAnyThere: boolean,
): Pick<Found, "message" | "isRepairable" | "remedy"> {
  if (users.length > 0)
    return {
      message: `its directory is not there; used by ${users.map((user) => user.name).join(", ")}`,
      isRepairable: false,
      remedy: `bring its files back to ${join(path, "_data")}`,
    };
  // Its record says what it was made with.
  if (!isAnyThere)
    return {
      message: "its directory is not there, nor that of any other volume; no container has it",
      isRepairable: false,
      remedy: `see that the file system of ${dirname(path)} is mounted, or remove the volume`,
    };
  return { message: "its directory is not there; no container has it", isRepairable: true };
}

function isEmptyVolume(path: string): boolean {
  try {
    const names = readdirSync(path);
    return names.length === 0 || (names.join() === "_data" && readdirSync(join(path, "_data")).length === 0);
  } catch {
    // It is a file, or cannot be read: nobody's to remove.
    return false;
  }
}
