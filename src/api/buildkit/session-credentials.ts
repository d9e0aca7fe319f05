/**
 * Credentials for registries that a client offers (BuildKit, session/auth). A client that can get tokens keeps its
 * passwords to itself; of others the name and the password are asked.
 */
import { createPublicKey, randomBytes, verify } from "node:crypto";
import { EngineError, errorText, isKind } from "../../base/errors.ts";
import type { CredentialProvider } from "../../build/build.ts";
import {
  authService,
  credentialsRequest,
  credentialsResponse,
  fetchTokenRequest,
  fetchTokenResponse,
  tokenAuthorityRequest,
  tokenAuthorityResponse,
  verifyAuthorityRequest,
  verifyAuthorityResponse,
} from "../../wire/buildkit/session.ts";
import type { ClientSession } from "./client-session.ts";

type Credentials = NonNullable<Awaited<ReturnType<CredentialProvider["get"]>>>;
type Authority = NonNullable<Credentials["authority"]>;

/** The name that clients have Docker Hub's credentials under. */
const dockerHubHost = "registry-1.docker.io";
/** What BuildKit calls itself towards token services. */
const clientId = "buildkit-client";
const publicKeyBytes = 32;
const signatureBytes = 64;
/** A client's key for a registry is made with this: other daemons see other keys. */
const salt = randomBytes(32);

const askCredentials = {
  path: `${authService}Credentials`,
  request: credentialsRequest,
  response: credentialsResponse,
};
const fetchToken = {
  path: `${authService}FetchToken`,
  request: fetchTokenRequest,
  response: fetchTokenResponse,
};
const getAuthority = {
  path: `${authService}GetTokenAuthority`,
  request: tokenAuthorityRequest,
  response: tokenAuthorityResponse,
};
const verifyAuthority = {
  path: `${authService}VerifyTokenAuthority`,
  request: verifyAuthorityRequest,
  response: verifyAuthorityResponse,
};

export function sessionCredentials(session: ClientSession): CredentialProvider {
  const found = new Map<string, Promise<Credentials | undefined>>();
  return {
    get(host) {
      const known = found.get(host) ?? credentialsFor(session, host);
      found.set(host, known);
      return known;
    },
  };
}

async function credentialsFor(session: ClientSession, host: string): Promise<Credentials | undefined> {
  const isHub = host === "docker.io" || host === "index.docker.io";
  const asked = isHub ? dockerHubHost : host;
  const key = await authorityKey(session, asked);
  if (key === undefined) return password(session, asked, host);
  const authority: Authority = {
    key,
    token: (question) => token(session, asked, question),
    password: async () => (await password(session, asked, host)) ?? {},
  };
  return { serveraddress: host, authority };
}

async function password(
  session: ClientSession,
  asked: string,
  host: string,
): Promise<Credentials | undefined> {
  if (!session.serves(askCredentials.path)) return undefined;
  const { Username, Secret } = await session.connection.call(askCredentials, { Host: asked });
  if (Username === "" && Secret === "") return undefined;
  // Without a name it is a token of the registry's token service.
  return Username === "" || Username === "<token>"
    ? { identitytoken: Secret, serveraddress: host }
    : { username: Username, password: Secret, serveraddress: host };
}

/**
 * What tokens of this client for this registry are kept under: its public key, when it shows that it has the other half,
 * so that its next build finds them. Clients make it of a secret of theirs. Undefined for a client that gets no tokens.
 */
async function authorityKey(session: ClientSession, host: string): Promise<string | undefined> {
  if (!session.serves(getAuthority.path) || !session.serves(fetchToken.path)) return undefined;
  let key: Uint8Array;
  try {
    key = (await session.connection.call(getAuthority, { Host: host, Salt: salt })).PublicKey;
  } catch (error) {
    // The client says so where it was told to get no tokens (BUILDKIT_NO_CLIENT_TOKEN).
    if (
      isKind(error, "notImplemented") ||
      (isKind(error, "unavailable") && !session.connection.signal.aborted)
    )
      return undefined;
    throw error;
  }
  if (key.length !== publicKeyBytes)
    throw new EngineError("invalidArgument", `the client's key for ${host} has ${key.length} bytes, not 32`);
  return (await hasPrivateKey(session, host, key))
    ? `authority ${host} ${Buffer.from(key).toString("hex")}`
    : `session ${session.id} ${host}`;
}

async function hasPrivateKey(session: ClientSession, host: string, key: Uint8Array): Promise<boolean> {
  if (!session.serves(verifyAuthority.path)) return false;
  const payload = randomBytes(32);
  const asked = { Host: host, Payload: payload, Salt: salt };
  let signed: Uint8Array;
  try {
    signed = (await session.connection.call(verifyAuthority, asked)).Signed;
  } catch (error) {
    if (isKind(error, "notImplemented") || isKind(error, "unavailable")) return false;
    throw error;
  }
  const message = signed.subarray(signatureBytes);
  if (!payload.equals(message)) return false;
  const x = Buffer.from(key).toString("base64url");
  const publicKey = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" });
  return verify(undefined, payload, publicKey, signed.subarray(0, signatureBytes));
}

async function token(
  session: ClientSession,
  host: string,
  { realm, service, scopes, signal }: Parameters<Authority["token"]>[0],
): ReturnType<Authority["token"]> {
  try {
    const { Token, ExpiresIn } = await session.connection.call(
      fetchToken,
      { ClientID: clientId, Host: host, Realm: realm, Service: service, Scopes: scopes },
      { signal },
    );
    return { token: Token, lifeSeconds: ExpiresIn };
  } catch (error) {
    signal.throwIfAborted();
    throw new EngineError("unauthenticated", `failed to authorize: ${errorText(error)}`, { cause: error });
  }
}
