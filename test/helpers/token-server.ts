/**
 * A token service for a registry with `auth: token` (the distribution project's token authentication). As a program of its
 * own it prints its configuration for the registry, then the scopes of each token that was asked for.
 */
import { createHash, createSign, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mustRun } from "./process.ts";

export interface TokenServer extends AsyncDisposable {
  /** Configuration for the registry, in YAML. */
  readonly config: string;
  /** Scopes of every token that was asked for. */
  readonly asked: string[];
  readonly refreshToken: string;
}

/** One user, `robot` with password `sesame`; everybody else may only pull from `public/…`. */
export async function startTokenServer(
  onAsked: (scopes: readonly string[], client: string) => void = () => {},
): Promise<TokenServer> {
  const directory = await mkdtemp(join(tmpdir(), "gantry-test-tokens-"));
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" });
  await writeFile(join(directory, "key.pem"), pem);
  const certificate = join(directory, "cert.pem");
  const subject = ["-subj", "/CN=tokens", "-days", "2"];
  await mustRun([
    "openssl",
    "req",
    "-x509",
    "-new",
    "-key",
    join(directory, "key.pem"),
    "-out",
    certificate,
    ...subject,
  ]);
  const der = new X509Certificate(await readFile(certificate)).raw.toString("base64");
  const asked: string[] = [];
  const refreshToken = "refresh-me";
  const server = createServer((request, response) => {
    void (async () => {
      let form = new URLSearchParams();
      if (request.method === "POST") {
        let body = "";
        for await (const chunk of request) body += String(chunk);
        form = new URLSearchParams(body);
      }
      const url = new URL(request.url ?? "/", "http://tokens");
      const given = Buffer.from(
        (request.headers.authorization ?? "").replace("Basic ", ""),
        "base64",
      ).toString();
      const posted = form.get("username") === "robot" && form.get("password") === "sesame";
      const isRobot = given === "robot:sesame" || posted || form.get("refresh_token") === refreshToken;
      if ((given !== "" || form.has("refresh_token") || form.has("username")) && !isRobot) {
        response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}');
        return;
      }
      const scopes = [...url.searchParams.getAll("scope"), ...form.getAll("scope")].flatMap((it) =>
        it.split(" "),
      );
      asked.push(...scopes);
      onAsked(scopes, form.get("client_id") ?? url.searchParams.get("client_id") ?? "");
      const access = scopes.map((scope) => {
        const [type = "", name = "", actions = ""] = scope.split(":");
        const allowed = isRobot ? actions.split(",") : name.startsWith("public/") ? ["pull"] : [];
        return { type, name, actions: allowed };
      });
      const token = sign(access);
      const offline = url.searchParams.get("offline_token") === "true" ? { refresh_token: refreshToken } : {};
      response.end(JSON.stringify({ token, access_token: token, expires_in: 300, ...offline }));
    })();
  });
  const sign = (access: unknown): string => {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: "tokens",
      sub: "robot",
      aud: "registry",
      nbf: now - 5,
      iat: now,
      exp: now + 300,
      jti: createHash("sha256").update(String(Math.random())).digest("hex"),
      access,
    };
    const text = `${part({ typ: "JWT", alg: "RS256", x5c: [der] })}.${part(claims)}`;
    return `${text}.${createSign("RSA-SHA256").update(text).sign(pem, "base64url")}`;
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const realm = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  return {
    config: `auth: {token: {realm: "${realm}", service: registry, issuer: tokens, rootcertbundle: ${certificate}}}`,
    asked,
    refreshToken,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

if (import.meta.main) {
  const server = await startTokenServer((scopes, client) =>
    console.log(`asked by ${client}: ${scopes.join(" ")}`),
  );
  console.log(server.config);
  process.once("SIGTERM", () => void server[Symbol.asyncDispose]().then(() => process.exit()));
}
