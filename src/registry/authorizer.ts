/**
 * Credentials towards one registry: Basic, or bearer tokens of its token service (the distribution project's token
 * authentication specification), kept until they run out.
 */
import { createHash } from "node:crypto";
import { EngineError } from "../base/errors.ts";
import type { Challenge } from "./challenge.ts";
import { RegistryResponseError, responseError } from "./errors.ts";
import { type HttpAnswer, type HttpSender, readBody } from "./http.ts";
import type { RegistryCredentials } from "./registry.ts";

interface Token {
  readonly token: string;
  readonly refreshToken: string;
  readonly expiresAtMs: number;
}

/** Tokens outlive the operation that asked for them. */
export type TokenCache = Map<string, Token>;

/** A token is not used in its last seconds. */
const leewayMs = 10_000;
/** What the specification says of a token without `expires_in`. */
const defaultLifeSeconds = 60;
const maxTokenBytes = 1024 * 1024;
const clientId = "gantry";

export interface AuthorizerParts {
  readonly http: HttpSender;
  readonly tokens: TokenCache;
  readonly credentials: RegistryCredentials;
  /** Whether a token service in the clear may see them. */
  readonly allowPlain: boolean;
}

export class Authorizer {
  readonly #parts: AuthorizerParts;
  #challenge: Challenge | undefined;

  constructor(parts: AuthorizerParts) {
    this.#parts = parts;
  }

  /** Takes over what the registry asked for. False when it is nothing that can be given. */
  accept(challenges: readonly Challenge[]): boolean {
    const { credentials } = this.#parts;
    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === "bearer" && parameters.has("realm"),
    );
    const basic = challenges.find(({ scheme }) => scheme === "basic");
    const canShow = hasPassword(credentials) || credentials.authority !== undefined;
    this.#challenge = bearer ?? (canShow ? basic : undefined);
    return this.#challenge !== undefined;
  }

  /** Value of the `Authorization` header for these scopes; undefined while nothing is asked for. */
  async header(scopes: readonly string[], signal: AbortSignal): Promise<string | undefined> {
    const { credentials } = this.#parts;
    if (this.#challenge === undefined) return undefined;
    if (this.#challenge.scheme === "basic") {
      const shown = (await credentials.authority?.password()) ?? credentials;
      return hasPassword(shown) ? basicHeader(shown) : undefined;
    }
    if (credentials.registrytoken) return `Bearer ${credentials.registrytoken}`;
    return `Bearer ${(await this.#token(scopes, signal)).token}`;
  }

  /** Forgets the token for these scopes: the registry did not take it. */
  forget(scopes: readonly string[]): void {
    if (this.#challenge !== undefined) this.#parts.tokens.delete(this.#key(scopes));
  }

  /** The refresh token that the token service gives for the password; empty when it gives none. */
  async refreshToken(signal: AbortSignal): Promise<string> {
    if (this.#challenge?.scheme !== "bearer") return "";
    return (await this.#fetch([], { signal, offline: true })).refreshToken;
  }

  async #token(scopes: readonly string[], signal: AbortSignal): Promise<Token> {
    const { tokens } = this.#parts;
    const key = this.#key(scopes);
    const known = tokens.get(key);
    if (known !== undefined && known.expiresAtMs > Date.now()) return known;
    for (const [old, token] of tokens) if (token.expiresAtMs <= Date.now()) tokens.delete(old);
    const fresh = await this.#fetch(scopes, { signal, offline: false });
    tokens.set(key, fresh);
    return fresh;
  }

  /** Credentials are part of the key, but only as their digest. */
  #key(scopes: readonly string[]): string {
    const { credentials } = this.#parts;
    const { parameters } = this.#challenge!;
    const { username, password, identitytoken, authority } = credentials;
    const who = [username, password, identitytoken, authority?.key];
    return createHash("sha256")
      .update(
        JSON.stringify([parameters.get("realm"), parameters.get("service"), ...who, ...scopes.toSorted()]),
      )
      .digest("hex");
  }

  async #fetch(
    scopes: readonly string[],
    { signal, offline }: { signal: AbortSignal; offline: boolean },
  ): Promise<Token> {
    const { http, credentials } = this.#parts;
    const { parameters } = this.#challenge!;
    const url = realmUrl(parameters.get("realm") ?? "");
    if (credentials.authority !== undefined) {
      const service = parameters.get("service") ?? "";
      const asked = { realm: url.href, service, scopes, signal };
      const { token, lifeSeconds } = await credentials.authority.token(asked);
      return { token, refreshToken: "", expiresAtMs: expiry(lifeSeconds || defaultLifeSeconds) };
    }
    const isKnown = hasPassword(credentials) || Boolean(credentials.identitytoken);
    if (url.protocol !== "https:" && isKnown && !this.#parts.allowPlain)
      throw new EngineError(
        "permissionDenied",
        `the registry's token service at ${url.host} speaks plain HTTP: credentials are not sent to it`,
      );
    const fields = new URLSearchParams();
    if (parameters.has("service")) fields.set("service", parameters.get("service")!);
    const answer = credentials.identitytoken
      ? await http.send(url, this.#refresh(fields, scopes, signal))
      : await http.send(withQuery(url, this.#question(fields, scopes, offline)), {
          method: "GET",
          headers: hasPassword(credentials) ? { Authorization: basicHeader(credentials) } : {},
          signal,
        });
    return readToken(answer);
  }

  #question(fields: URLSearchParams, scopes: readonly string[], offline: boolean): URLSearchParams {
    const { username } = this.#parts.credentials;
    if (username) fields.set("account", username);
    if (offline) {
      fields.set("offline_token", "true");
      fields.set("client_id", clientId);
    }
    for (const scope of scopes) fields.append("scope", scope);
    return fields;
  }

  /** OAuth 2: the refresh token stands for the password (RFC 6749, section 6). */
  #refresh(
    fields: URLSearchParams,
    scopes: readonly string[],
    signal: AbortSignal,
  ): { method: string; headers: Record<string, string>; body: Buffer; signal: AbortSignal } {
    fields.set("grant_type", "refresh_token");
    fields.set("client_id", clientId);
    fields.set("refresh_token", this.#parts.credentials.identitytoken ?? "");
    if (scopes.length > 0) fields.set("scope", scopes.join(" "));
    const body = Buffer.from(fields.toString());
    const headers = {
      "Content-Type": "application/x-www-form-urlencoded",
      "Content-Length": String(body.length),
    };
    return { method: "POST", headers, body, signal };
  }
}

function hasPassword(credentials: RegistryCredentials): boolean {
  return Boolean(credentials.username) && credentials.password !== undefined && !credentials.identitytoken;
}

function basicHeader({ username = "", password = "" }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function realmUrl(realm: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw new EngineError(
      "unavailable",
      `the registry names a token service that is no URL: ${JSON.stringify(realm)}`,
    );
  return url;
}

function withQuery(url: URL, fields: URLSearchParams): URL {
  const whole = new URL(url);
  for (const [name, value] of fields) whole.searchParams.append(name, value);
  return whole;
}

async function readToken(answer: HttpAnswer): Promise<Token> {
  if (answer.status === 401 || answer.status === 403 || answer.status === 400) {
    const error = await responseError("getting a token", answer);
    throw new RegistryResponseError({
      status: answer.status === 400 ? 401 : answer.status,
      codes: error.codes,
      asked: `the token service at ${answer.host} refuses the credentials`,
      said: error.codes.length > 0 ? error.said : "unauthorized: incorrect username or password",
    });
  }
  if (answer.status !== 200) throw await responseError("getting a token", answer);
  const text = (await readBody(answer, maxTokenBytes)).toString("utf8");
  const value = parseToken(text);
  const token = textOf(value["token"]) || textOf(value["access_token"]);
  if (token === "")
    throw new EngineError("unavailable", `the token service at ${answer.host} answered without a token`);
  const life = typeof value["expires_in"] === "number" ? value["expires_in"] : defaultLifeSeconds;
  return {
    token,
    refreshToken: textOf(value["refresh_token"]),
    expiresAtMs: expiry(life),
  };
}

/** ms since the epoch. The specification says that no token lives shorter than the default. */
function expiry(lifeSeconds: number): number {
  return Date.now() + Math.max(lifeSeconds, defaultLifeSeconds) * 1000 - leewayMs;
}

function parseToken(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : "");
