/** All routes of the API: those that are served, and those that are known and refused. */
import type { Route } from "./exchange.ts";
import { buildRoutes } from "./routes/build.ts";
import { buildkitRoutes } from "./routes/buildkit.ts";
import { checkRoutes } from "./routes/check.ts";
import { containerFileRoutes } from "./routes/container-files.ts";
import { containerResourceRoutes } from "./routes/container-resources.ts";
import { containerRoutes } from "./routes/containers.ts";
import { diskUsageRoutes } from "./routes/disk-usage.ts";
import { execRoutes } from "./routes/exec.ts";
import { imageRoutes } from "./routes/images.ts";
import { networkRoutes } from "./routes/networks.ts";
import { pruneRoutes } from "./routes/prune.ts";
import { refusedRoutes } from "./routes/refused.ts";
import { registryRoutes } from "./routes/registries.ts";
import { systemRoutes } from "./routes/system.ts";
import { volumeRoutes } from "./routes/volumes.ts";

const servedRoutes: readonly Route[] = [
  ...systemRoutes,
  ...containerRoutes,
  ...containerFileRoutes,
  ...containerResourceRoutes,
  ...execRoutes,
  ...imageRoutes,
  ...buildRoutes,
  ...buildkitRoutes,
  ...registryRoutes,
  ...networkRoutes,
  ...volumeRoutes,
  ...pruneRoutes,
  ...diskUsageRoutes,
  ...checkRoutes,
];

export const routes: readonly Route[] = [...servedRoutes, ...refusedRoutes];

export interface RouteSupport {
  readonly method: string;
  /** As Docker's API description writes it: `/images/{name}/json`. */
  readonly path: string;
  readonly support: "served" | "refused";
}

/** What is served and what is not, for docs/compatibility.md. */
export function routeSupport(): RouteSupport[] {
  const list = (table: readonly Route[], support: RouteSupport["support"]): RouteSupport[] =>
    table.map(({ method, path }) => ({ method, path: path.replaceAll("...}", "}"), support }));
  return [...list(servedRoutes, "served"), ...list(refusedRoutes, "refused")];
}
