/**
 * Compares the records with what is on the disk and in the kernel, and blobs and layers with their digests; puts right
 * what can be put right without anybody's data. The same for a running daemon and for a data root at rest.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { errorText } from "../../base/errors.ts";
import type { CheckCounts, CheckReport, Fault } from "../../wire/check.ts";
import { checkBlobs } from "./blobs.ts";
import { checkContainers } from "./containers.ts";
import { checkLayers } from "./layers.ts";
import { checkNetworks } from "./networks.ts";
import type { Repairs } from "./repair.ts";
import { type CheckedStore, faultKinds, type Found } from "./store.ts";
import { checkVolumes } from "./volumes.ts";

export interface CheckOptions {
  /** Read blobs and layers, not only their names. */
  readonly verify: boolean;
  /** Undefined: only look. */
  readonly repairs: Repairs | undefined;
  readonly signal: AbortSignal;
}

/** What is being done while a daemon runs is no fault: only what is still so after this time is. */
const settleMs = 1_500;

/** Throws what `signal` was aborted with, and for records that cannot be read. */
export async function checkStore(store: CheckedStore, options: CheckOptions): Promise<CheckReport> {
  const first = await look(store, options.verify, options.signal);
  let { found } = first;
  if (store.live !== undefined && found.some(isPassing)) {
    await sleep(settleMs, undefined, { signal: options.signal });
    // What is damaged stays so: it need not be read again.
    const second = await look(store, false, options.signal);
    const still = new Set(second.found.map(keyOf));
    found = found.filter((each) => !isPassing(each) || still.has(keyOf(each)));
  }
  const faults: Fault[] = [];
  for (const each of found) faults.push(await settle(each, options.repairs));
  if (options.repairs !== undefined) await lookAgain(store, faults, options.signal);
  return {
    DataRoot: store.dataRoot,
    ExecRoot: store.execRoot,
    Verified: options.verify,
    Checked: first.counts,
    Faults: faults,
  };
}

/** A repair that left the fault as it was has failed, whatever it says. */
async function lookAgain(store: CheckedStore, faults: Fault[], signal: AbortSignal): Promise<void> {
  const { found } = await look(store, false, signal);
  const still = new Set(found.map(keyOf));
  for (const [index, fault] of faults.entries())
    if (fault.State === "repaired" && still.has(`${fault.Kind} ${fault.Object}`))
      faults[index] = { ...fault, State: "not repaired", Failure: "it is still so" };
}

const keyOf = ({ kind, object }: Found): string => `${kind} ${object}`;

/** True for what may be an operation on its way. */
function isPassing({ kind }: Found): boolean {
  return kind !== "blob-damaged" && kind !== "layer-damaged" && kind !== "database-damaged";
}

async function look(
  store: CheckedStore,
  verify: boolean,
  signal: AbortSignal,
): Promise<{ found: Found[]; counts: CheckCounts }> {
  const blobs = await checkBlobs(store, { verify, signal });
  const layers = await checkLayers(store, { verify, good: blobs.good, signal });
  const networks = checkNetworks(store);
  const found = [
    ...checkDatabase(store),
    ...blobs.found,
    ...layers.found,
    ...checkContainers(store),
    ...checkVolumes(store),
    ...networks.found,
  ];
  const counts = {
    Blobs: blobs.count,
    BlobBytes: blobs.bytes,
    Layers: layers.count,
    Images: store.images.list().length,
    Containers: store.containers.list().length,
    Volumes: store.volumes().length,
    Networks: networks.count,
  };
  return { found, counts };
}

/** What SQLite itself has to complain of. */
export function databaseComplaints({ database }: Pick<CheckedStore, "database">): string[] {
  const complaints = database
    .prepare("PRAGMA integrity_check")
    .all()
    .map((row) => String(row["integrity_check"]))
    .filter((text) => text !== "ok");
  const strays = database.prepare("PRAGMA foreign_key_check").all();
  if (strays.length > 0) complaints.push(`${strays.length} rows refer to others that are not there`);
  return complaints;
}

function checkDatabase(store: CheckedStore): Found[] {
  const { dataRoot } = store;
  return databaseComplaints(store).map((message) => ({
    kind: "database-damaged",
    object: `${dataRoot}/gantry.db`,
    message,
    remedy: `stop the daemon and bring the file back from a backup; without one, 'gantry system check --repair --data-root ${dataRoot}' saves what can be read`,
  }));
}

async function settle(found: Found, repairs: Repairs | undefined): Promise<Fault> {
  const rule = faultKinds[found.kind];
  const fault = {
    Kind: found.kind,
    Object: found.object,
    Message: found.message,
    Severity: rule.severity,
    Repairable: rule.isRepairable && found.isRepairable !== false,
    ...(found.remedy === undefined ? {} : { Remedy: found.remedy }),
  } as const;
  if (repairs === undefined || !fault.Repairable) return { ...fault, State: "found" };
  try {
    await repairs(found);
    return { ...fault, State: "repaired" };
  } catch (error) {
    return { ...fault, State: "not repaired", Failure: errorText(error) };
  }
}
