import type { RegistryCredentials } from "../registry/registry.ts";
import type { RegistryLoginResponse } from "../wire/registry.ts";
import type { ImageContext } from "./image-context.ts";

/**
 * Shows credentials to the registry that they name; nothing is stored, that is the client's business. Throws
 * `unauthenticated` when the registry refuses them, `unavailable` when it cannot be reached.
 */
export async function registryLogin(
  context: ImageContext,
  credentials: RegistryCredentials,
  signal: AbortSignal,
): Promise<RegistryLoginResponse> {
  const IdentityToken = await context.registry.login(credentials, signal);
  return { Status: "Login Succeeded", IdentityToken };
}
