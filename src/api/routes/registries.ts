import type { Exchange, Route } from "../exchange.ts";
import { registryCredentials } from "../registry-header.ts";
import { registryAuth } from "../requests.ts";

async function login(x: Exchange): Promise<void> {
  x.json(200, await x.engine.registryLogin(await x.readJson(registryAuth), x.signal));
}

async function distribution(x: Exchange): Promise<void> {
  const credentials = registryCredentials(x);
  const { signal } = x;
  x.json(200, await x.engine.distributionInspect({ name: x.param("name"), credentials, signal }));
}

export const registryRoutes: readonly Route[] = [
  { method: "POST", path: "/auth", handle: login },
  { method: "GET", path: "/distribution/{name...}/json", handle: distribution },
];
