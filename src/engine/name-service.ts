/** Names for containers: the name server inside each one that is on a network of a user's. */
import { statSync } from "node:fs";
import { hostNameServers, readResolvConf, setsNdots } from "../network/name-files.ts";
import { NameServer } from "../network/name-server.ts";
import { attempt } from "./attempt.ts";
import type { EngineContext } from "./context.ts";
import { openLinks } from "./links.ts";
import { updateLinkedFiles, updateNetworkFiles } from "./network-files.ts";

/** Lets every sandbox have its name server, those too that are found at the start. To be called before they are. */
export function serveNames(context: EngineContext): void {
  context.network.watch(
    new NameServer({
      networks: context.network,
      hostServers: hostServersReader("/etc/resolv.conf"),
      settingsOf: (containerId) => {
        const { Dns, DnsOptions } = context.containers.byId(containerId)?.hostConfig ?? {};
        return {
          servers: Dns?.length ? Dns : context.config.dns,
          keepsShortNames: setsNdots(DnsOptions?.length ? DnsOptions : context.config.dnsOptions),
        };
      },
    }),
  );
}

/** Lets files and the ways of links follow the networks of running containers. To be called before they are found at the start. */
export function followNetworks(context: EngineContext): void {
  context.network.watch({
    opened: (sandbox) => {
      openLinks(context, sandbox.containerId);
      return attempt("update the hosts files of linking containers", () =>
        updateLinkedFiles(context, sandbox),
      );
    },
    changed: (sandbox) =>
      attempt(`update the hosts file and resolv.conf of ${sandbox.containerId}`, () => {
        updateNetworkFiles(context, sandbox);
        updateLinkedFiles(context, sandbox);
        openLinks(context, sandbox.containerId);
      }),
    // Nobody reaches by an old link whoever gets its address next.
    closed: ({ containerId }) => openLinks(context, containerId),
  });
}

/** The host's servers, read again when their file has changed. */
function hostServersReader(path: string): () => readonly string[] {
  let readAtMs = -1;
  let servers: readonly string[] = [];
  return () => {
    const changedAtMs = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (changedAtMs !== readAtMs) {
      servers = hostNameServers(readResolvConf(path));
      readAtMs = changedAtMs;
    }
    return servers;
  };
}
