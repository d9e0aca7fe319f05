import { invalidArgument, notFound } from "../../base/errors.ts";
import { goQuote } from "../../base/go-text.ts";
import type { Exchange, Route } from "../exchange.ts";
import { networkConnectRequest, networkCreateRequest, networkDisconnectRequest } from "../requests.ts";
import { shapeListedNetwork, shapeNetwork } from "../shape.ts";

async function list(x: Exchange): Promise<void> {
  const networks = await x.engine.networkList(x.query.filters());
  x.json(
    200,
    networks.map((network) => shapeListedNetwork(network, x.apiMinor)),
  );
}

async function inspect(x: Exchange): Promise<void> {
  const verbose = x.query.text("verbose");
  if (verbose !== undefined && !/^(1|t|T|TRUE|true|True|0|f|F|FALSE|false|False)$/.test(verbose))
    throw invalidArgument(
      `invalid value for verbose: ${verbose}: strconv.ParseBool: parsing ${goQuote(verbose)}: invalid syntax`,
    );
  const scope = x.query.text("scope");
  // All networks are local.
  if (scope !== undefined && scope !== "local") throw notFound(`network ${x.param("id")} not found`);
  x.json(200, shapeNetwork(await x.engine.networkInspect(x.param("id")), x.apiMinor));
}

async function create(x: Exchange): Promise<void> {
  const request = await x.readJsonOrEmpty(networkCreateRequest);
  // Before 1.48 IPv4 could not be left out.
  x.json(201, await x.engine.networkCreate(x.apiMinor < 48 ? { ...request, EnableIPv4: true } : request));
}

async function remove(x: Exchange): Promise<void> {
  await x.engine.networkRemove(x.param("id"));
  x.empty(204);
}

async function connect(x: Exchange): Promise<void> {
  const { Container: container = "", EndpointConfig: settings } =
    await x.readJsonOrEmpty(networkConnectRequest);
  await x.engine.networkConnect(x.param("id"), { container, settings: settings ?? {} });
  x.empty(200);
}

async function disconnect(x: Exchange): Promise<void> {
  const { Container: container = "", Force: force = false } =
    await x.readJsonOrEmpty(networkDisconnectRequest);
  await x.engine.networkDisconnect(x.param("id"), { container, force });
  x.empty(200);
}

export const networkRoutes: readonly Route[] = [
  { method: "GET", path: "/networks", handle: list },
  { method: "GET", path: "/networks/", handle: list },
  { method: "POST", path: "/networks/create", handle: create },
  { method: "POST", path: "/networks/{id...}/connect", handle: connect },
  { method: "POST", path: "/networks/{id...}/disconnect", handle: disconnect },
  { method: "DELETE", path: "/networks/{id...}", handle: remove },
  { method: "GET", path: "/networks/{id...}", handle: inspect },
];
