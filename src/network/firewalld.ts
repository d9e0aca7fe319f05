/**
 * Bridges in a zone of firewalld(1), where it runs: it rejects what comes from devices of its default zone, and since
 * version 2.1 its table has an owner, so that nobody else can put rules there. As with Docker the zone is `docker`, whose
 * target accepts everything; a policy accepts what goes into it. What may pass is for our own table to say.
 */
import { EngineError, errorText, isKind } from "../base/errors.ts";
import { crashpoint } from "../base/failpoint.ts";
import { log } from "../base/log.ts";
import { nftList } from "../linux/nftables.ts";
import { runProcess } from "../linux/spawn.ts";
import { type DeviceNotes, noNotes } from "./zone-leftovers.ts";

const zone = "docker";
const policy = "docker-forwarding";

/** Of firewall-cmd(1): the daemon does not run, or is not ready. */
const notRunning = 252;
/** Of firewall-cmd(1): what is to be set is set, ALREADY_ENABLED; what is to be made is there, NAME_CONFLICT. */
const doneAlready = [11, 26];
/** A command that it does not answer holds up the daemon's start and end, and who makes a network. */
const commandTimeoutMs = 10_000;
/** What comes while work is done is seen after it. */
const passes = 3;

/** Devices that some zone has (`br*` for all that begin so); undefined where firewalld's table is not there. */
function devicesInZones(): string[] | undefined {
  try {
    return (
      nftList("look into firewalld's zones", "list table inet firewalld")
        .map(({ rule }) => rule)
        // `filter_INPUT_ZONES`, since version 2.3 `filter_INPUT_POLICIES`.
        .filter((rule) => String(rule?.["chain"]).startsWith("filter_INPUT_"))
        .flatMap((rule) => devicesOf(rule?.["expr"]))
    );
  } catch (error) {
    if (isKind(error, "notFound")) return undefined;
    throw error;
  }
}

function devicesOf(expressions: unknown): string[] {
  const matches = (Array.isArray(expressions) ? expressions : []) as { match?: { right?: unknown } }[];
  return matches.map(({ match }) => match?.right).filter((right) => typeof right === "string");
}

interface CommandResult {
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

const runFirewallCmd = (args: readonly string[]): Promise<CommandResult> =>
  runProcess({
    path: "/usr/bin/env",
    argv: ["env", "firewall-cmd", ...args],
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
    timeoutMs: commandTimeoutMs,
  });

function failureOf(args: readonly string[], { code, stdout, stderr }: CommandResult): EngineError {
  const exit =
    code === undefined ? `no answer within ${commandTimeoutMs / 1000} seconds` : `exit code ${code}`;
  const reason = stderr.trim() || stdout.trim() || exit;
  const kind = code === notRunning || code === undefined ? "unavailable" : "internal";
  return new EngineError(kind, `firewall-cmd ${args.join(" ")}: ${reason}`);
}

async function firewallCmd(...args: string[]): Promise<string> {
  const result = await runFirewallCmd(args);
  if (result.code === 0) return result.stdout;
  throw failureOf(args, result);
}

/** A change for good that is no failure when it was made before. */
async function keep(...args: string[]): Promise<void> {
  const result = await runFirewallCmd(["--permanent", ...args]);
  if (result.code !== 0 && !doneAlready.includes(result.code ?? -1))
    throw failureOf(["--permanent", ...args], result);
}

/** What it answers; undefined when it refuses. Throws `unavailable`. */
async function firewallCmdIfTaken(...args: string[]): Promise<string | undefined> {
  try {
    return await firewallCmd(...args);
  } catch (error) {
    if (isKind(error, "unavailable")) throw error;
    return undefined;
  }
}

/** One object of firewalld's. Its settings can all be made again, and the last is its target. */
interface Wanted {
  readonly make: string;
  readonly option: string;
  readonly info: string;
  readonly settings: readonly string[];
}

const wantedZone: Wanted = {
  make: `--new-zone=${zone}`,
  option: `--zone=${zone}`,
  info: `--info-zone=${zone}`,
  settings: ["--set-description=zone for docker bridge network interfaces", "--set-target=ACCEPT"],
};

const wantedPolicy: Wanted = {
  make: `--new-policy=${policy}`,
  option: `--policy=${policy}`,
  info: `--info-policy=${policy}`,
  settings: [
    "--set-description=allow forwarding to the docker zone",
    "--add-ingress-zone=ANY",
    `--add-egress-zone=${zone}`,
    "--set-target=ACCEPT",
  ],
};

const accepts = (info: string | undefined): boolean => /^\s*target: ACCEPT\s*$/m.test(info ?? "");

/**
 * Makes it for good where it is missing, or was left in the middle by a daemon that was cut off: then what firewalld keeps
 * and what it goes by are not the same. True when it must be loaded anew.
 */
async function make({ make: made, option, info, settings }: Wanted): Promise<boolean> {
  const isInForce = accepts(await firewallCmdIfTaken(info));
  if (accepts(await firewallCmdIfTaken("--permanent", info))) return !isInForce;
  await keep(made);
  crashpoint("firewalld.made");
  for (const setting of settings) await keep(option, setting);
  crashpoint("firewalld.set");
  return true;
}

/** Makes the zone and the policy, for good, where they are not there. firewalld knows them after a reload. */
async function makeZone(): Promise<void> {
  const isZoneNew = await make(wantedZone);
  // Versions before 0.9 have no policies.
  const hasPolicies = (await firewallCmdIfTaken("--get-policies")) !== undefined;
  const isPolicyNew = hasPolicies && (await make(wantedPolicy));
  if (!isZoneNew && !isPolicyNew) return;
  await firewallCmd("--reload");
  crashpoint("firewalld.loaded");
}

const isAmong = (devices: readonly string[], name: string): boolean =>
  devices.some((device) => device === name || (device.endsWith("*") && name.startsWith(device.slice(0, -1))));

/** firewalld writes its table before it takes requests. */
const usualTimes = {
  startTimeoutMs: 60_000,
  firstDelayMs: 1_000,
  longestDelayMs: 60_000,
  settleTimeoutMs: 20_000,
};

export class Firewalld {
  readonly #times: typeof usualTimes;
  #wanted: readonly string[] = [];
  /** Those that were wanted once, and have not been taken out. */
  readonly #admitted = new Set<string>();
  #work: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** After a failure: what comes until then waits for it. */
  #notBefore = 0;
  #delayMs: number;
  /** It has its time to start from then on. */
  #unavailableSince: number | undefined;
  #lastFailure = "";
  readonly #notes: DeviceNotes;
  /** What the notes say. */
  #noted: string;

  /** `notes` last longer than the daemon. Throws when they cannot be read. */
  constructor(times = usualTimes, notes = noNotes) {
    this.#times = times;
    this.#delayMs = times.firstDelayMs;
    this.#notes = notes;
    const left = notes.read();
    this.#noted = left.join();
    for (const bridge of left) this.#admitted.add(bridge);
  }

  /**
   * Has these bridges in the zone, and no others of ours; nothing without firewalld, and for bridges that its
   * administrator has put into a zone. To be called again after every change of firewalld's table.
   */
  sync(bridges: readonly string[]): void {
    // After the last there is perhaps no other time.
    const isNowEmpty = bridges.length === 0 && this.#wanted.length > 0;
    this.#wanted = bridges;
    for (const bridge of bridges) this.#admitted.add(bridge);
    if (!isNowEmpty && performance.now() < this.#notBefore) return;
    this.#work ??= this.#run();
  }

  /** A bridge that is gone, and that an earlier daemon may have put into the zone: the next {@link sync} takes it out. */
  forget(bridge: string): void {
    this.#admitted.add(bridge);
  }

  /**
   * Resolves when what was asked for is done, or could not be done at once; a slow firewalld is not waited for longer. What
   * it has not taken out by then is noted for the next daemon.
   */
  async settled(): Promise<void> {
    if (this.#work !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, this.#times.settleTimeoutMs);
      await Promise.race([this.#work, promise]);
      clearTimeout(timer);
    }
    this.#note();
  }

  /** Those that are in the zone, as far as is known, and are not to be. */
  #gone(): string[] {
    return [...this.#admitted].filter((bridge) => !this.#wanted.includes(bridge));
  }

  #note(): void {
    const gone = this.#gone().toSorted();
    if (gone.join() === this.#noted) return;
    try {
      this.#notes.write(gone);
      this.#noted = gone.join();
    } catch (error) {
      log.warn("bridges that firewalld has still to forget cannot be noted", { error: errorText(error) });
    }
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      let isDone = false;
      for (let pass = 0; pass < passes && !isDone; pass++) isDone = !(await this.#change());
      this.#notBefore = 0;
      this.#delayMs = this.#times.firstDelayMs;
      this.#unavailableSince = undefined;
      this.#lastFailure = "";
      if (this.#noted !== "") this.#note();
      if (!isDone) this.#runAfter(this.#times.firstDelayMs);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#work = undefined;
    }
  }

  /** Tries it again soon while firewalld may be starting, else at growing distances, and says so once. */
  #fail(error: unknown): void {
    const now = performance.now();
    if (isKind(error, "unavailable")) this.#unavailableSince ??= now;
    else this.#unavailableSince = undefined;
    const isStarting =
      this.#unavailableSince !== undefined && now - this.#unavailableSince < this.#times.startTimeoutMs;
    const delayMs = isStarting ? this.#times.firstDelayMs : this.#delayMs;
    if (!isStarting) {
      this.#delayMs = Math.min(2 * this.#delayMs, this.#times.longestDelayMs);
      const text = errorText(error);
      if (text !== this.#lastFailure)
        log.warn("firewalld could not be told of our bridges; it is tried again", { error: text });
      this.#lastFailure = text;
    }
    this.#notBefore = now + delayMs;
    // For what is gone it is tried again, too.
    if (this.#admitted.size > 0) this.#runAfter(delayMs);
  }

  #runAfter(delayMs: number): void {
    this.#timer = setTimeout(() => {
      this.#notBefore = 0;
      this.sync(this.#wanted);
    }, delayMs).unref();
  }

  /** True when something had to be done. */
  async #change(): Promise<boolean> {
    const isThere = devicesInZones() !== undefined;
    const gone = this.#gone();
    for (const bridge of gone) {
      // The administrator may have taken it out, or put it elsewhere.
      if (isThere) await firewallCmdIfTaken(`--zone=${zone}`, `--remove-interface=${bridge}`);
      this.#admitted.delete(bridge);
      crashpoint("firewalld.removed");
    }
    if (this.#missing().length === 0) return gone.length > 0;
    await makeZone();
    const missing = this.#missing().map((bridge) => `--change-interface=${bridge}`);
    if (missing.length > 0) await firewallCmd(`--zone=${zone}`, ...missing);
    crashpoint("firewalld.admitted");
    return true;
  }

  #missing(): string[] {
    const devices = devicesInZones();
    return devices === undefined ? [] : this.#wanted.filter((bridge) => !isAmong(devices, bridge));
  }
}
