/** A conversation with one registry about one repository: addresses found, credentials shown, passing faults waited out. */
import type { Readable } from "node:stream";
import { EngineError } from "../base/errors.ts";
import { log } from "../base/log.ts";
import { Authorizer, type TokenCache } from "./authorizer.ts";
import { parseChallenges } from "./challenge.ts";
import { RegistryConnectionError, responseError, RegistryResponseError } from "./errors.ts";
import type { RegistryEndpoint } from "./hosts.ts";
import { header, type HttpAnswer, HttpSender } from "./http.ts";
import type { RegistryCredentials, RegistryPlace, RepositoryAction } from "./registry.ts";
import { isPassingStatus, pause, pauseMs, retryAfterMs } from "./retry.ts";

export interface SessionOptions {
  readonly endpoint: RegistryEndpoint;
  readonly place: RegistryPlace;
  readonly tokens: TokenCache;
  readonly credentials: RegistryCredentials;
  readonly repository: string;
  readonly action: RepositoryAction;
  /** Tries of one request. */
  readonly attempts: number;
}

export interface SessionRequest {
  /** What it is for, for messages: `manifest of alpine:3`. */
  readonly what: string;
  readonly method: string;
  /** Below the repository (`/manifests/latest`), or a whole URL that the registry named. */
  readonly path: string | URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called for each try. */
  readonly body?: () => Buffer | Readable;
  /** Statuses that are an answer; any other is an error. */
  readonly accept: readonly number[];
  /** What the token is for, when that is not this repository: `registry:catalog:*`. */
  readonly scope?: string;
  /** Another repository that is read from. */
  readonly alsoPullFrom?: string;
  /** One try only: the caller minds faults itself. */
  readonly once?: boolean;
  readonly signal: AbortSignal;
}

export class RegistrySession {
  readonly options: SessionOptions;
  readonly #http: HttpSender;
  readonly #authorizer: Authorizer;

  constructor(options: SessionOptions) {
    const { endpoint, place, tokens, credentials } = options;
    this.options = options;
    this.#http = new HttpSender(endpoint, place);
    this.#authorizer = new Authorizer({
      http: this.#http,
      tokens,
      credentials: endpoint.isMirror ? {} : credentials,
      allowPlain: !endpoint.verifyTls,
    });
  }

  /** `host[:port]` of the registry. */
  get host(): string {
    return this.options.endpoint.host;
  }

  /**
   * Asks whether a registry is there, and what it wants to see (distribution spec 1.1, end-1). Throws
   * {@link RegistryConnectionError} when nobody answers, `unavailable` for a server that is no registry.
   */
  async ping(signal: AbortSignal): Promise<HttpAnswer> {
    const { origin, prefix } = this.options.endpoint;
    const answer = await this.#persist({ what: "asking for the API", once: false, signal }, () =>
      this.#http.send(new URL(`${origin}${prefix}/v2/`), { method: "GET", headers: userAgent, signal }),
    );
    answer.body.resume();
    if (answer.status === 401) this.#authorizer.accept(challengesOf(answer));
    else if (answer.status !== 200)
      throw new EngineError(
        "unavailable",
        `${origin} is no registry: it answered ${answer.status} where a registry's API would be (/v2/)`,
      );
    return answer;
  }

  /** Sends the credentials to the registry itself. Resolves with a refresh token, if there is one. Throws when they are refused. */
  async login(signal: AbortSignal): Promise<string> {
    const { origin, prefix } = this.options.endpoint;
    const url = `${origin}${prefix}/v2/`;
    const answer = await this.ping(signal);
    if (answer.status === 200) return "";
    const refreshToken = await this.#authorizer.refreshToken(signal);
    const authorization = await this.#authorizer.header([], signal);
    const headers = {
      ...userAgent,
      ...(authorization === undefined ? {} : { Authorization: authorization }),
    };
    const second = await this.#http.send(new URL(url), { method: "GET", headers, signal });
    second.body.resume();
    if (second.status === 200) return refreshToken;
    throw new RegistryResponseError({
      status: second.status === 403 ? 403 : 401,
      codes: [],
      asked: `login attempt to ${url} failed with status`,
      said: `${second.status} ${second.body.statusMessage ?? ""}`.trim(),
    });
  }

  /** Sends a request. Throws `RegistryResponseError` for any status that is not accepted. */
  async send(request: SessionRequest): Promise<HttpAnswer> {
    const answer = await this.#persist(request, () => this.#sendAuthorized(request));
    if (request.accept.includes(answer.status)) return answer;
    if (answer.status === 401) throw await this.#unauthorized(request.what, answer);
    throw await responseError(request.what, answer);
  }

  async #sendAuthorized(request: SessionRequest): Promise<HttpAnswer> {
    const scopes = this.#scopes(request);
    const first = await this.#sendOnce(request, scopes);
    if (first.status !== 401) return first;
    this.#authorizer.forget(scopes);
    if (!this.#authorizer.accept(challengesOf(first))) return first;
    first.body.resume();
    return await this.#sendOnce(request, scopes);
  }

  async #sendOnce(request: SessionRequest, scopes: readonly string[]): Promise<HttpAnswer> {
    const { method, signal } = request;
    const url = this.#url(request.path);
    const headers: Record<string, string> = { ...userAgent, ...request.headers };
    // A place that the registry named elsewhere (an upload to a storage service) is none of its credentials' business.
    if (url.origin === this.options.endpoint.origin) {
      const authorization = await this.#authorizer.header(scopes, signal);
      if (authorization !== undefined) headers["Authorization"] = authorization;
    }
    const body = request.body?.();
    return await this.#http.send(url, { method, headers, ...(body === undefined ? {} : { body }), signal });
  }

  /** Docker's words where the registry has none, as in answers to HEAD. */
  async #unauthorized(what: string, answer: HttpAnswer): Promise<RegistryResponseError> {
    const error = await responseError(what, answer);
    if (error.codes.length > 0) return error;
    const isBasic = challengesOf(answer).some(({ scheme }) => scheme === "basic");
    const said =
      isBasic && !this.options.credentials.username
        ? "no basic auth credentials"
        : "unauthorized: authentication required";
    return new RegistryResponseError({ status: 401, codes: [], asked: `${what} at ${answer.host}`, said });
  }

  #scopes({ alsoPullFrom, scope }: SessionRequest): string[] {
    if (scope !== undefined) return [scope];
    const { repository, action } = this.options;
    const own = `repository:${repository}:${action}`;
    return alsoPullFrom === undefined ? [own] : [own, `repository:${alsoPullFrom}:pull`];
  }

  #url(path: string | URL): URL {
    if (path instanceof URL) return path;
    const { endpoint, repository } = this.options;
    return new URL(`${endpoint.origin}${endpoint.prefix}/v2/${repository}${path}`);
  }

  /** Where the registry says that something is; relative places are its own. */
  locationOf(answer: HttpAnswer): URL {
    const location = header(answer, "location");
    const base = this.options.endpoint.origin;
    if (location === undefined || !URL.canParse(location, base))
      throw new EngineError("unavailable", `the registry ${this.host} does not say where an upload goes`);
    return new URL(location, base);
  }

  async #persist(
    request: Pick<SessionRequest, "what" | "once" | "signal">,
    send: () => Promise<HttpAnswer>,
  ): Promise<HttpAnswer> {
    const attempts = request.once === true ? 1 : this.options.attempts;
    for (let failures = 1; ; failures += 1) {
      let askedMs: number | undefined;
      try {
        const answer = await send();
        if (!isPassingStatus(answer.status) || failures >= attempts) return answer;
        askedMs = retryAfterMs(header(answer, "retry-after"), Date.now());
        const wait = pauseMs({ failures, baseMs: this.options.place.retryDelayMs, askedMs });
        if (wait === undefined) return answer;
        answer.body.resume();
        log.debug("registry asks to be tried again", { what: request.what, status: answer.status, wait });
        await pause(wait, request.signal);
      } catch (error) {
        if (!(error instanceof RegistryConnectionError) || !error.isPassing || failures >= attempts)
          throw error;
        log.debug("registry connection broke", { what: request.what, code: error.code });
        await pause(
          pauseMs({ failures, baseMs: this.options.place.retryDelayMs, askedMs }) ?? 0,
          request.signal,
        );
      }
    }
  }
}

const userAgent = { "User-Agent": "gantry" };

function challengesOf(answer: HttpAnswer): ReturnType<typeof parseChallenges> {
  return parseChallenges(header(answer, "www-authenticate") ?? "");
}
