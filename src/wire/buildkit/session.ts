/** Messages of the services that a client offers to the builder (BuildKit, session/auth, session/secrets, session/sshforward). */
import { many, message, one } from "../protobuf.ts";
import { stringMap } from "./common.ts";

/** Headers of `POST /session`. */
export const sessionHeaders = {
  id: "X-Docker-Expose-Session-Uuid",
  name: "X-Docker-Expose-Session-Name",
  sharedKey: "X-Docker-Expose-Session-Sharedkey",
  method: "X-Docker-Expose-Session-Grpc-Method",
} as const;

export const authService = "/moby.filesync.v1.Auth/";
export const credentialsRequest = message({ Host: one(1, "string") });
export const credentialsResponse = message({ Username: one(1, "string"), Secret: one(2, "string") });
export const fetchTokenRequest = message({
  ClientID: one(1, "string"),
  Host: one(2, "string"),
  Realm: one(3, "string"),
  Service: one(4, "string"),
  Scopes: many(5, "string"),
});
export const fetchTokenResponse = message({
  Token: one(1, "string"),
  /** Seconds. */
  ExpiresIn: one(2, "int64"),
  IssuedAt: one(3, "int64"),
});
export const tokenAuthorityRequest = message({ Host: one(1, "string"), Salt: one(2, "bytes") });
export const tokenAuthorityResponse = message({ PublicKey: one(1, "bytes") });
export const verifyAuthorityRequest = message({
  Host: one(1, "string"),
  Payload: one(2, "bytes"),
  Salt: one(3, "bytes"),
});
/** The signature (Ed25519, 64 bytes) and the payload behind it. */
export const verifyAuthorityResponse = message({ Signed: one(1, "bytes") });

export const getSecretPath = "/moby.buildkit.secrets.v1.Secrets/GetSecret";
export const getSecretRequest = message({ ID: one(1, "string"), annotations: stringMap(2) });
export const getSecretResponse = message({ data: one(1, "bytes") });

export const sshService = "/moby.sshforward.v1.SSH/";
/** Metadata of ForwardAgent. */
export const sshIdKey = "buildkit.ssh.id";
export const checkAgentRequest = message({ ID: one(1, "string") });
export const checkAgentResponse = message({});

export const healthCheckPath = "/grpc.health.v1.Health/Check";
export const healthCheckRequest = message({ service: one(1, "string") });
/** 1 is SERVING. */
export const healthCheckResponse = message({ status: one(1, "int32") });
