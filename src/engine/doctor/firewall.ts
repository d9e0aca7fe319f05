/** Other firewalls on this machine, and what they do to containers' packets. */
import type { Finding } from "../../wire/doctor.ts";
import { note, ok, problem, warning } from "./finding.ts";
import type { DaemonPlaces, BaseChain, Machine } from "./machine.ts";

export function firewallRules(machine: Machine, places: DaemonPlaces): Finding[] {
  if (!places.iptables)
    return [
      note(
        "firewall",
        "the daemon was told to make no rules (--iptables=false): publish ports and masquerade by hand",
      ),
    ];
  const read = machine.baseChains();
  if ("failure" in read) {
    if (!machine.isRoot)
      return [note("firewall", "only root can read the firewall", "sudo gantry system doctor")];
    return [
      problem(
        "firewall",
        `nftables cannot be read: ${read.failure}`,
        "modprobe nf_tables; apt-get install libnftables1",
      ),
    ];
  }
  return [droppingChains(read.chains), legacyTables(machine), ...managers(machine)];
}

/** Chains that drop forwarded packets. In nftables a packet passes all tables: an accept in ours does not end theirs. */
function droppingChains(chains: readonly BaseChain[]): Finding {
  const id = "firewall.forward";
  const dropping = chains.filter(
    ({ hook, policy, table }) => hook === "forward" && policy === "drop" && !table.startsWith("gantry"),
  );
  if (dropping.length === 0) return ok(id, "no other firewall drops forwarded packets by default");
  const names = dropping.map(({ family, table, name }) => `${family} ${table} ${name}`).join(", ");
  const unreachable = dropping.filter(({ family }) => !["ip", "ip6", "inet"].includes(family));
  return unreachable.length > 0
    ? warning(id, `${names} drop forwarded packets`, `nft add rule ${names.split(",")[0]} accept`)
    : note(
        id,
        `${names} drop forwarded packets by default; the daemon adds rules there that let its bridges through`,
      );
}

/** Rules of iptables-legacy are not nftables': nobody who looks at one sees the other. */
function legacyTables({ readText }: Machine): Finding {
  const id = "firewall.legacy";
  const tables = ["ip_tables_names", "ip6_tables_names"]
    .flatMap((name) => (readText(`/proc/net/${name}`) ?? "").split("\n"))
    .filter((name) => name !== "");
  if (tables.length === 0) return ok(id, "no tables of iptables-legacy");
  return warning(
    id,
    `iptables-legacy has tables (${[...new Set(tables)].join(", ")}): a DROP there is seen by no program of nftables`,
    "iptables-legacy -S FORWARD; update-alternatives --set iptables /usr/sbin/iptables-nft",
  );
}

function managers({ exists, readText }: Machine): Finding[] {
  const found: Finding[] = [];
  if (exists("/run/firewalld") || exists("/var/run/firewalld.pid"))
    found.push(
      note(
        "firewall.firewalld",
        "firewalld runs: published ports are open whatever its zones say, its forwarding is not",
        "firewall-cmd --permanent --zone=trusted --add-interface=gantry0 && firewall-cmd --reload",
      ),
    );
  if (/^ENABLED=yes/m.test(readText("/etc/ufw/ufw.conf") ?? ""))
    found.push(
      note(
        "firewall.ufw",
        "ufw is on: published ports are open whatever its rules for incoming packets say",
        "publish on 127.0.0.1 what is not for others (-p 127.0.0.1:8080:80), or use nft's chain `user` (docs/networking.md)",
      ),
    );
  return found;
}
