/** The registry client's words: what it is told by the daemon's options, and what a pull or push asks of it. */
import type { RegistryAuth } from "../wire/registry.ts";

/** Options of the daemon; read anew for every operation, so that a reload counts at once. */
export interface RegistrySettings {
  /** `host[:port]` or CIDR ranges that may be spoken to without TLS, or with a certificate that nobody vouches for. */
  readonly insecureRegistries: readonly string[];
  /** URLs that are asked before Docker Hub. */
  readonly registryMirrors: readonly string[];
  /** How often one blob is tried before a download fails. */
  readonly maxDownloadAttempts: number;
}

/** What the client finds on the machine. */
export interface RegistryPlace {
  /** Docker's `/etc/docker/certs.d`: `<host>/{ca.crt,client.cert,client.key}`. */
  readonly certsDirectory: string;
  /** Where `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` are read. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where Docker Hub is searched. */
  readonly hubIndex: string;
  /** A registry that says nothing for so long counts as gone. */
  readonly silenceTimeoutMs: number;
  /** First pause before something is tried again; doubles each time. */
  readonly retryDelayMs: number;
}

export const defaultRegistryPlace: RegistryPlace = {
  certsDirectory: "/etc/docker/certs.d",
  environment: process.env,
  hubIndex: "https://index.docker.io",
  silenceTimeoutMs: 60_000,
  retryDelayMs: 500,
};

/** A token of a registry's token service. */
export interface IssuedToken {
  readonly token: string;
  /** 0 when the service does not say. */
  readonly lifeSeconds: number;
}

/** Somebody who keeps the credentials and gets tokens for them, such as a building client (BuildKit, session/auth). */
export interface TokenAuthority {
  /** What tokens are kept under: nobody else can have it. */
  readonly key: string;
  /** Throws `unauthenticated`. */
  token(asked: {
    readonly realm: string;
    readonly service: string;
    readonly scopes: readonly string[];
    readonly signal: AbortSignal;
  }): Promise<IssuedToken>;
  /** For a registry that knows no tokens. */
  password(): Promise<RegistryAuth>;
}

export type RegistryCredentials = Readonly<RegistryAuth> & { readonly authority?: TokenAuthority };

/** What is asked for in a repository: the scope of a token. */
export type RepositoryAction = "pull" | "pull,push";
