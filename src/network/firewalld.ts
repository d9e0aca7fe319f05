/**
 * Bridges in a zone of firewalld(1), where it runs: it rejects what comes from devices of its default zone, and since
 * version 2.1 its table has an owner, so that nobody else can put rules there. As with Docker the zone is `docker`, whose
 * target accepts everything; a policy accepts what goes into it. What may pass is for our own table to say.
 */
import { EngineError, errorText, isKind } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { nftList } from "../linux/nftables.ts";
import { runProcess } from "../linux/spawn.ts";

const zone = "docker";
const policy = "docker-forwarding";

/** Of firewall-cmd(1): the daemon does not run, or is not ready. */
const notRunning = 252;
/** firewalld writes its table before it takes requests. */
const attempts = 30;
const againMs = 1_000;
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

async function firewallCmd(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await runProcess({
    path: "/usr/bin/env",
    argv: ["env", "firewall-cmd", ...args],
    env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C" },
  });
  if (code === 0) return stdout;
  const reason = stderr.trim() || stdout.trim() || `exit code ${code}`;
  throw new EngineError(
    code === notRunning ? "unavailable" : "internal",
    `firewall-cmd ${args.join(" ")}: ${reason}`,
  );
}

/** Makes the zone and the policy, for good, where they are not there. firewalld knows them after a reload. */
async function makeZone(): Promise<void> {
  const words = async (what: string): Promise<string[]> => (await firewallCmd(what)).split(/\s+/);
  const hasZone = (await words("--get-zones")).includes(zone);
  // Versions before 0.9 have no policies.
  const hasPolicy = await words("--get-policies").then(
    (policies) => policies.includes(policy),
    () => true,
  );
  if (hasZone && hasPolicy) return;
  if (!hasZone) {
    await firewallCmd("--permanent", `--new-zone=${zone}`);
    await firewallCmd(
      "--permanent",
      `--zone=${zone}`,
      "--set-description=zone for docker bridge network interfaces",
    );
    await firewallCmd("--permanent", `--zone=${zone}`, "--set-target=ACCEPT");
  }
  if (!hasPolicy) {
    await firewallCmd("--permanent", `--new-policy=${policy}`);
    const which = ["--permanent", `--policy=${policy}`] as const;
    await firewallCmd(...which, "--set-description=allow forwarding to the docker zone");
    await firewallCmd(...which, "--add-ingress-zone=ANY");
    await firewallCmd(...which, `--add-egress-zone=${zone}`);
    await firewallCmd(...which, "--set-target=ACCEPT");
  }
  await firewallCmd("--reload");
}

const isAmong = (devices: readonly string[], name: string): boolean =>
  devices.some((device) => device === name || (device.endsWith("*") && name.startsWith(device.slice(0, -1))));

export class Firewalld {
  #wanted: readonly string[] = [];
  /** Those that were wanted once, and have not been taken out. */
  readonly #admitted = new Set<string>();
  #work: Promise<void> | undefined;
  #failures = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Has these bridges in the zone, and no others of ours; nothing without firewalld, and for bridges that its
   * administrator has put into a zone. To be called again after every change of firewalld's table.
   */
  sync(bridges: readonly string[]): void {
    this.#wanted = bridges;
    for (const bridge of bridges) this.#admitted.add(bridge);
    this.#work ??= this.#run();
  }

  /** Resolves when what was asked for is done, or could not be done at once. */
  async settled(): Promise<void> {
    await this.#work;
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    try {
      for (let pass = 0; pass < passes && (await this.#change()); pass++);
      this.#failures = 0;
    } catch (error) {
      this.#failures += 1;
      const isLast = this.#failures >= attempts || !isKind(error, "unavailable");
      if (isLast) log.warn("firewalld could not be told of our bridges", { error: errorText(error) });
      else this.#timer = setTimeout(() => this.sync(this.#wanted), againMs).unref();
    } finally {
      this.#work = undefined;
    }
  }

  /** True when something had to be done. */
  async #change(): Promise<boolean> {
    const isThere = devicesInZones() !== undefined;
    const gone = [...this.#admitted].filter((bridge) => !this.#wanted.includes(bridge));
    for (const bridge of gone) {
      // The administrator may have taken it out, or put it elsewhere.
      if (isThere)
        await firewallCmd(`--zone=${zone}`, `--remove-interface=${bridge}`).catch((error: unknown) => {
          if (isKind(error, "unavailable")) throw error;
        });
      this.#admitted.delete(bridge);
    }
    if (this.#missing().length === 0) return gone.length > 0;
    await makeZone();
    const missing = this.#missing().map((bridge) => `--change-interface=${bridge}`);
    if (missing.length > 0) await firewallCmd(`--zone=${zone}`, ...missing);
    return true;
  }

  #missing(): string[] {
    const devices = devicesInZones();
    return devices === undefined ? [] : this.#wanted.filter((bridge) => !isAmong(devices, bridge));
  }
}
