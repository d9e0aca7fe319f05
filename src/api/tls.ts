/** Encrypted TCP sockets. In a file of its own, so that a daemon without them does not load TLS. */
import type { Server, ServerOptions } from "node:http";
import type { ServerOptions as HttpsOptions } from "node:https";
import { errorText, invalidArgument } from "../base/errors.ts";
import type { ServerTls } from "./listen.ts";

/** An HTTP server behind TLS 1.2 or newer, as Docker's. Throws `invalidArgument` for texts that are no certificate or key. */
export function createTlsServer(tls: ServerTls, settings: ServerOptions): Server {
  const https = process.getBuiltinModule("node:https");
  const options: HttpsOptions & { allowHalfOpen: boolean } = {
    ...settings,
    cert: tls.cert,
    key: tls.key,
    minVersion: "TLSv1.2",
    // As on the other sockets: a client that has ended its input still gets the output.
    allowHalfOpen: true,
    ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true, rejectUnauthorized: true }),
  };
  try {
    return https.createServer(options);
  } catch (error) {
    throw invalidArgument(`the certificate or key for TLS cannot be used: ${errorText(error)}`, {
      cause: error,
    });
  }
}
