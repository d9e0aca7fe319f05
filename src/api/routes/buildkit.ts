/** BuildKit's protocol, on connections that are upgraded to HTTP/2. */
import type { Route } from "../exchange.ts";

export const buildkitRoutes: readonly Route[] = [
  {
    method: "POST",
    path: "/session",
    handle: (x) => x.buildkit.serveSession(x),
    upgrade: "hijack",
  },
  { method: "POST", path: "/grpc", handle: (x) => x.buildkit.serveCalls(x), upgrade: "hijack" },
];
