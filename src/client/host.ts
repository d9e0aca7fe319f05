/** A daemon's address: what `-H` and `DOCKER_HOST` name. */
export type Host =
  | { readonly kind: "unix"; readonly url: string; readonly path: string }
  | {
      readonly kind: "ssh";
      readonly url: string;
      /** Empty for the one that ssh itself chooses. */
      readonly user: string;
      readonly hostname: string;
      readonly port: number | undefined;
      /** Socket on that machine; empty for its default. */
      readonly path: string;
    }
  | {
      readonly kind: "tcp";
      readonly url: string;
      readonly hostname: string;
      readonly port: number;
      /** Path in front of every route, without a slash at its end; mostly empty. */
      readonly basePath: string;
    };

const defaultTcpPort = 2375;
const defaultTlsPort = 2376;

/**
 * Reads an address: `unix:///path`, a bare absolute path, `tcp://host[:port][/base]`, `host:port`, or
 * `ssh://[user@]host[:port][/path/to/socket]`. Without a port it is 2375, with TLS 2376.
 *
 * Throws `Error` for any other scheme and for what cannot be read.
 */
export function parseHost(text: string, hasTls = false): Host {
  if (text.startsWith("ssh://")) return parseSshHost(text);
  if (text.startsWith("unix://") || text.startsWith("/")) {
    const path = text.startsWith("/") ? text : text.slice("unix://".length);
    if (path === "") throw hostError(text, "the path of the socket is missing");
    return { kind: "unix", url: `unix://${path}`, path };
  }
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme !== undefined && scheme !== "tcp" && scheme !== "http" && scheme !== "https") {
    const known = ["npipe", "fd"].includes(scheme);
    throw hostError(text, known ? `${scheme}:// is not supported` : `unknown scheme "${scheme}"`);
  }
  const rest = scheme === undefined ? text : text.slice(scheme.length + 3);
  // Scanned rather than parsed by URL, which drops a port that it holds for the default of the scheme.
  const match = /^(\[[0-9A-Fa-f:.%]+\]|[^:/?#@\s]*)(?::(\d{1,5}))?(\/[^?#\s]*)?$/.exec(rest);
  if (match === null || (scheme === undefined && match[2] === undefined)) {
    throw hostError(text, "use unix:///path/to/socket, tcp://host:port or ssh://user@host");
  }
  const port = match[2] === undefined ? (hasTls ? defaultTlsPort : defaultTcpPort) : Number(match[2]);
  if (port < 1 || port > 65_535) throw hostError(text, `port ${port} is not between 1 and 65535`);
  const hostname = match[1] === "" ? "127.0.0.1" : match[1]!.replace(/^\[|\]$/g, "");
  const basePath = (match[3] ?? "").replace(/\/+$/, "");
  return { kind: "tcp", url: `tcp://${rest}`, hostname, port, basePath };
}

/** As Docker's: no password, no query; what starts with a hyphen would be an option of ssh. */
function parseSshHost(text: string): Host {
  const match = /^ssh:\/\/(?:([^@/?#]*)@)?(\[[0-9A-Fa-f:.%]+\]|[^:/?#@[\]]+)(?::(\d{1,5}))?(\/[^?#]*)?$/.exec(
    text,
  );
  if (match === null) throw hostError(text, "use ssh://[user@]host[:port][/path/to/socket]");
  const [, user = "", hostname = "", port, path = ""] = match;
  if (user.includes(":")) throw hostError(text, "plain-text password is not supported");
  if (user.startsWith("-") || hostname.startsWith("-")) throw hostError(text, "a name starts with a hyphen");
  return {
    kind: "ssh",
    url: text,
    user: decodeURIComponent(user),
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: port === undefined ? undefined : Number(port),
    path: path === "/" ? "" : path,
  };
}

function hostError(text: string, why: string): Error {
  return new Error(`invalid host "${text}": ${why}`);
}
