import type { Exchange, Route } from "../exchange.ts";
import { shapeNetwork } from "../shape.ts";

/** Listings leave out who is connected. */
async function list(x: Exchange): Promise<void> {
  const networks = await x.engine.networkList(x.query.filters());
  x.json(
    200,
    networks.map((network) => shapeNetwork({ ...network, Containers: undefined }, x.apiMinor)),
  );
}

async function inspect(x: Exchange): Promise<void> {
  x.json(200, shapeNetwork(await x.engine.networkInspect(x.param("id")), x.apiMinor));
}

export const networkRoutes: readonly Route[] = [
  { method: "GET", path: "/networks", handle: list },
  { method: "GET", path: "/networks/{id}", handle: inspect },
];
