import type { RegistryAuth } from "../wire/registry.ts";
import type { Exchange } from "./exchange.ts";
import { registryAuth } from "./requests.ts";

/**
 * The credentials of `X-Registry-Auth`: JSON in base64, of the URL alphabet or the other. Without them, and for what
 * cannot be read, there are none, as with Docker.
 */
export function registryCredentials({ request }: Pick<Exchange, "request">): RegistryAuth {
  const header = request.headers["x-registry-auth"];
  if (typeof header !== "string" || header === "") return {};
  try {
    return registryAuth(JSON.parse(Buffer.from(header, "base64url").toString("utf8")), "");
  } catch {
    return {};
  }
}
