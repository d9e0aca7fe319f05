import type { Decoded } from "./decode.ts";
import type { Service } from "./project.ts";
import { sha256 } from "./sha256.ts";
import { serviceShape } from "./service-shape.ts";
import { shapeJson } from "./write-json.ts";

/**
 * The hash by which Docker Compose 2 knows whether a container is what its service wants: SHA-256 of the service's JSON
 * without what does not change a container (compose 2.26, pkg/compose/hash.go).
 */
export function serviceHash(service: Service): string {
  const { build: _build, pull_policy: _policy, scale: _scale, deploy, ...rest } = service;
  const hashed: Service = { ...rest };
  if (deploy !== undefined) {
    const { replicas: _replicas, ...kept } = deploy;
    hashed.deploy = kept;
  }
  return sha256(shapeJson(hashed as Decoded, serviceShape));
}
