/** A daemon's address: what `-H` and `DOCKER_HOST` name. */
export type Host =
  | { readonly kind: "unix"; readonly url: string; readonly path: string }
  | {
      readonly kind: "tcp";
      readonly url: string;
      readonly hostname: string;
      readonly port: number;
      /** Path in front of every route, without a slash at its end; mostly empty. */
      readonly basePath: string;
    };

/** Docker's port without TLS; 2376, the one with TLS, must be written. */
const defaultTcpPort = 2375;

/**
 * Reads an address: `unix:///path`, a bare absolute path, `tcp://host[:port][/base]`, or `host:port`.
 *
 * Throws `Error` for any other scheme and for what cannot be read.
 */
export function parseHost(text: string): Host {
  if (text.startsWith("unix://") || text.startsWith("/")) {
    const path = text.startsWith("/") ? text : text.slice("unix://".length);
    if (path === "") throw hostError(text, "the path of the socket is missing");
    return { kind: "unix", url: `unix://${path}`, path };
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme !== undefined && scheme !== "tcp" && scheme !== "http") {
    const known = ["https", "ssh", "npipe", "fd"].includes(scheme);
    throw hostError(text, known ? `${scheme}:// is not supported` : `unknown scheme "${scheme}"`);
  }
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3);
  // Scanned rather than parsed by URL, which drops a port that it holds for the default of the scheme.
  const match = /^(\[[0-9A-Fa-f:.%]+\]|[^:/?#@\s]*)(?::(\d{1,5}))?(\/[^?#\s]*)?$/.exec(rest);
  if (match === null || (scheme === undefined && match[2] === undefined)) {
    throw hostError(text, "use unix:///path/to/socket or tcp://host:port");
  }
  const port = match[2] === undefined ? defaultTcpPort : Number(match[2]);
  if (port < 1 || port > 65_535) throw hostError(text, `port ${port} is not between 1 and 65535`);
  const hostname = match[1] === "" ? "127.0.0.1" : match[1]!.replace(/^\[|\]$/g, "");
  const basePath = (match[3] ?? "").replace(/\/+$/, "");
  return { kind: "tcp", url: `tcp://${rest}`, hostname, port, basePath };
}

function hostError(text: string, why: string): Error {
  return new Error(`invalid host "${text}": ${why}`);
}
