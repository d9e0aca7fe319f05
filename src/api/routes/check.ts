/** `gantry system check`: a route of gantry's own, beside those of Docker's API. */
import type { Exchange, Route } from "../exchange.ts";

/** With `quick=1` no contents are read. */
async function check(x: Exchange, repair: boolean): Promise<void> {
  x.json(200, await x.engine.check({ verify: !x.query.flag("quick"), repair, signal: x.signal }));
}

export const checkRoutes: readonly Route[] = [
  { method: "GET", path: "/gantry/check", handle: (x) => check(x, false) },
  { method: "POST", path: "/gantry/check", handle: (x) => check(x, true) },
];
