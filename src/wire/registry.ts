import type { Platform } from "../oci/image-spec.ts";

/** Credentials for a registry, as `POST /auth` and the header `X-Registry-Auth` carry them. */
export interface RegistryAuth {
  username?: string;
  password?: string;
  serveraddress?: string;
  /** A refresh token of the registry's token service, in place of the password. */
  identitytoken?: string;
  /** A bearer token, sent as it is. */
  registrytoken?: string;
}

/** Answer of `POST /auth`. */
export interface RegistryLoginResponse {
  Status: string;
  /** To be stored in place of the password; empty when the registry gives none. */
  IdentityToken: string;
}

/** Answer of `GET /distribution/{name}/json`: what a registry has under a name. */
export interface DistributionInspect {
  Descriptor: { mediaType: string; digest: string; size: number };
  Platforms: Platform[];
}
