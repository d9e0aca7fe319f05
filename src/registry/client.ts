/** The registry client: finds the server behind a reference and opens conversations with it. */
import { EngineError, errorText } from "../base/errors.ts";
import { log } from "../base/log.ts";
import type { Reference } from "../oci/reference.ts";
import type { TokenCache } from "./authorizer.ts";
import { RegistryConnectionError } from "./errors.ts";
import { hubAuthKey, type RegistryEndpoint, registryEndpoints } from "./hosts.ts";
import {
  defaultRegistryPlace,
  type RegistryCredentials,
  type RegistryPlace,
  type RegistrySettings,
  type RepositoryAction,
} from "./registry.ts";
import { RegistrySession } from "./session.ts";

export interface OpenOptions {
  readonly reference: Reference;
  readonly action: RepositoryAction;
  readonly credentials: RegistryCredentials;
  readonly signal: AbortSignal;
  /** The registry may speak in the clear, or with any certificate, as if the settings said so. */
  readonly isInsecure?: boolean;
}

export class RegistryClient {
  readonly #settings: RegistrySettings;
  readonly #place: RegistryPlace;
  readonly #tokens: TokenCache = new Map();
  /** Whether an insecure registry was found in the clear, so that TLS is not tried first every time. */
  readonly #plainHosts = new Set<string>();

  constructor(settings: RegistrySettings, place: Partial<RegistryPlace> = {}) {
    this.#settings = settings;
    this.#place = { ...defaultRegistryPlace, ...place };
  }

  /**
   * Conversations about the reference's repository: with each mirror that answers, then with the registry itself.
   * Throws, when there is no mirror, what keeps the registry from answering.
   */
  async *open(options: OpenOptions): AsyncGenerator<RegistrySession, void> {
    const purpose = options.action === "pull" ? "pull" : "push";
    const endpoints = registryEndpoints(options.reference.domain, this.#settings, purpose);
    let hasMirror = false;
    for (const mirror of endpoints.filter(({ isMirror }) => isMirror)) {
      const session = this.#session(mirror, options);
      try {
        await session.ping(options.signal);
      } catch (error) {
        options.signal.throwIfAborted();
        log.warn("registry mirror does not answer", { mirror: mirror.origin, error: errorText(error) });
        continue;
      }
      hasMirror = true;
      yield session;
    }
    // With a mirror at hand, Docker Hub is only asked for what the mirror has not got.
    const own = endpoints.find(({ isMirror }) => !isMirror);
    if (hasMirror && own !== undefined) yield this.#session(own, options);
    else yield await this.openOwn(options);
  }

  /** A conversation with the registry itself. Throws `unavailable` when it cannot be reached. */
  async openOwn(options: OpenOptions): Promise<RegistrySession> {
    const { domain } = options.reference;
    const { insecureRegistries } = this.#settings;
    const settings =
      options.isInsecure === true
        ? { ...this.#settings, insecureRegistries: [...insecureRegistries, domain] }
        : this.#settings;
    const endpoints = registryEndpoints(domain, settings, "push");
    return await this.#firstThatAnswers(endpoints, options.signal, async (endpoint) => {
      const session = this.#session(endpoint, options);
      await session.ping(options.signal);
      return session;
    });
  }

  /**
   * Shows credentials to the registry that they name. Resolves with what is to be stored in the password's place, empty
   * for the password itself. Throws `unauthenticated` when they are refused.
   */
  async login(credentials: RegistryCredentials, signal: AbortSignal): Promise<string> {
    const domain = loginDomain(credentials.serveraddress ?? "");
    const endpoints = registryEndpoints(domain, this.#settings, "push");
    const reference = { domain, path: "" };
    return await this.#firstThatAnswers(endpoints, signal, (endpoint) =>
      this.#session(endpoint, { reference, action: "pull", credentials, signal }).login(signal),
    );
  }

  /** A conversation with the index of Docker Hub, which searches (version 1 of the registry API). */
  openIndex(credentials: RegistryCredentials): RegistrySession {
    const { origin, host, protocol } = new URL(this.#place.hubIndex);
    return this.#session(
      { origin, prefix: "", host, verifyTls: protocol === "https:", isMirror: false },
      {
        reference: { domain: host, path: "" },
        action: "pull",
        credentials,
        signal: new AbortController().signal,
      },
    );
  }

  #session(endpoint: RegistryEndpoint, { reference, action, credentials }: OpenOptions): RegistrySession {
    return new RegistrySession({
      endpoint,
      place: this.#place,
      tokens: this.#tokens,
      credentials,
      repository: reference.path,
      action,
      attempts: this.#settings.maxDownloadAttempts,
    });
  }

  /** TLS first, then, where that is allowed, without. What was found is remembered. */
  async #firstThatAnswers<T>(
    endpoints: readonly RegistryEndpoint[],
    signal: AbortSignal,
    talk: (endpoint: RegistryEndpoint) => Promise<T>,
  ): Promise<T> {
    const isPlain = (endpoint: RegistryEndpoint): boolean => endpoint.origin.startsWith("http://");
    const known = endpoints.filter((it) => this.#plainHosts.has(it.host) && isPlain(it));
    let failure: unknown;
    for (const endpoint of [...known, ...endpoints.filter((it) => !known.includes(it))]) {
      try {
        const result = await talk(endpoint);
        if (isPlain(endpoint)) this.#plainHosts.add(endpoint.host);
        return result;
      } catch (error) {
        signal.throwIfAborted();
        const mayBeElsewhere = error instanceof RegistryConnectionError || isNoRegistry(error);
        if (!mayBeElsewhere) throw error;
        this.#plainHosts.delete(endpoint.host);
        // The clear-text address is the second choice, and its complaint too, unless the first was that there is no TLS.
        if (failure === undefined || speaksNoTls(failure)) failure = error;
      }
    }
    throw failure;
  }
}

function isNoRegistry(error: unknown): boolean {
  return (
    error instanceof EngineError && error.kind === "unavailable" && / is no registry: /.test(error.message)
  );
}

function speaksNoTls(error: unknown): boolean {
  return error instanceof RegistryConnectionError && /^(EPROTO|ERR_SSL|ECONNRESET)/.test(error.code);
}

/** The domain that a server address of `login` means: `https://index.docker.io/v1/` and nothing at all are Docker Hub. */
export function loginDomain(serverAddress: string): string {
  const host = serverAddress.replace(/^https?:\/\//, "").replace(/\/.*$/, "");
  const isHub =
    host === "" || serverAddress === hubAuthKey || /^(index\.|registry-1\.)?docker\.io$/.test(host);
  return isHub ? "docker.io" : host;
}
