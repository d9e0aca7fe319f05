/**
 * The routes of Docker's API that are known but not served: they say so by name, so that nobody mistakes a missing
 * feature for a wrong path (which is 404).
 */
import { EngineError, notFound, notImplemented } from "../../base/errors.ts";
import type { Exchange, Route } from "../exchange.ts";

/** Words of Docker's, which clients look at. */
const notSwarmManager =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

type Refusal = (x: Exchange) => Error;

const notServed =
  (operation: string): Refusal =>
  () =>
    notImplemented(`${operation} is not served by this version of gantry`);
/** Docker has them with its experimental features alone, and answers 501 without. */
const noCheckpoints = notServed("keeping checkpoints of containers (docker checkpoint)");
const noSwarm: Refusal = () => new EngineError("unavailable", notSwarmManager);
/** Docker's hint to run `swarm init` would lead in a circle here. */
const noSwarmAtAll: Refusal = () =>
  new EngineError("unavailable", "this node cannot be in a swarm: swarm mode is not served by gantry");
const onlyClusterVolumes: Refusal = () =>
  new EngineError("unavailable", "volume update only valid for cluster volumes, but swarm is unavailable");
const notInSwarm: Refusal = () => new EngineError("unavailable", "This node is not part of a swarm");
const noSuchPlugin: Refusal = (x) => notFound(`plugin "${x.param("name")}" not found`);

const refusals: readonly (readonly [method: string, path: string, refusal: Refusal])[] = [
  // containers
  ["GET", "/containers/{id}/checkpoints", noCheckpoints],
  ["POST", "/containers/{id}/checkpoints", noCheckpoints],
  ["DELETE", "/containers/{id}/checkpoints/{checkpoint}", noCheckpoints],
  // images
  ["GET", "/images/{name...}/attestations", notServed("reading an image's attestations")],
  // volumes
  ["PUT", "/volumes/{name}", onlyClusterVolumes],
  // system
  // plugins
  ["GET", "/plugins/privileges", notServed("asking for a plugin's privileges")],
  ["POST", "/plugins/pull", notServed("installing a plugin (docker plugin install)")],
  ["POST", "/plugins/create", notServed("creating a plugin (docker plugin create)")],
  ["GET", "/plugins/{name...}/json", noSuchPlugin],
  ["DELETE", "/plugins/{name...}", noSuchPlugin],
  ["POST", "/plugins/{name...}/enable", noSuchPlugin],
  ["POST", "/plugins/{name...}/disable", noSuchPlugin],
  ["POST", "/plugins/{name...}/upgrade", noSuchPlugin],
  ["POST", "/plugins/{name...}/push", noSuchPlugin],
  ["POST", "/plugins/{name...}/set", noSuchPlugin],
  // swarm
  ["GET", "/swarm", noSwarm],
  ["POST", "/swarm/init", noSwarmAtAll],
  ["POST", "/swarm/join", noSwarmAtAll],
  ["POST", "/swarm/leave", notInSwarm],
  ["POST", "/swarm/update", noSwarm],
  ["GET", "/swarm/unlockkey", noSwarm],
  ["POST", "/swarm/unlock", noSwarm],
  ["GET", "/nodes", noSwarm],
  ["GET", "/nodes/{id}", noSwarm],
  ["DELETE", "/nodes/{id}", noSwarm],
  ["POST", "/nodes/{id}/update", noSwarm],
  ["GET", "/services", noSwarm],
  ["POST", "/services/create", noSwarm],
  ["GET", "/services/{id}", noSwarm],
  ["DELETE", "/services/{id}", noSwarm],
  ["POST", "/services/{id}/update", noSwarm],
  ["GET", "/services/{id}/logs", noSwarm],
  ["GET", "/tasks", noSwarm],
  ["GET", "/tasks/{id}", noSwarm],
  ["GET", "/tasks/{id}/logs", noSwarm],
  ["GET", "/secrets", noSwarm],
  ["POST", "/secrets/create", noSwarm],
  ["GET", "/secrets/{id}", noSwarm],
  ["DELETE", "/secrets/{id}", noSwarm],
  ["POST", "/secrets/{id}/update", noSwarm],
  ["GET", "/configs", noSwarm],
  ["POST", "/configs/create", noSwarm],
  ["GET", "/configs/{id}", noSwarm],
  ["DELETE", "/configs/{id}", noSwarm],
  ["POST", "/configs/{id}/update", noSwarm],
];

export const refusedRoutes: readonly Route[] = refusals.map(([method, path, refusal]) => ({
  method,
  path,
  handle: (x) => {
    throw refusal(x);
  },
}));
