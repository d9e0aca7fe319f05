/**
 * Finds the route of a request in a tree of path segments: one step a segment, whatever the number of routes.
 *
 * A pattern's segment is a literal, `{name}` for one segment, or `{name...}` for one or more of them. The last form is
 * there for image names, whose slashes stand raw in the path (`/images/registry:5000/team/app:1/json`); at most one
 * literal may follow it. Literals win over names, `{name}` wins over `{name...}`.
 */

interface Routable {
  readonly method: string;
  readonly path: string;
}

export interface Match<R> {
  readonly route: R;
  readonly params: ReadonlyMap<string, string>;
}

interface RestPattern<R> {
  readonly name: string;
  readonly route: R;
}

class TreeNode<R> {
  readonly literals = new Map<string, TreeNode<R>>();
  /** The child behind `{name}`. */
  param: { name: string; node: TreeNode<R> } | undefined;
  /** `{name...}` patterns that begin here, by method and the literal that follows (`GET json`, or `DELETE `). */
  readonly rests = new Map<string, RestPattern<R>>();
  /** Routes that end here, by method. */
  readonly routes = new Map<string, R>();
}

export class Router<R extends Routable> {
  readonly #root = new TreeNode<R>();

  /** Throws a plain Error for a pattern it cannot read or that is there twice: both are bugs of the table. */
  constructor(routes: Iterable<R>) {
    for (const route of routes) this.#add(route);
  }

  /** The route of `method` and the decoded `path` (without version and query), or undefined. */
  find(method: string, path: string): Match<R> | undefined {
    const params = new Map<string, string>();
    const route = search(this.#root, { method, segments: path.split("/"), params }, 1);
    return route === undefined ? undefined : { route, params };
  }

  #add(route: R): void {
    const segments = route.path.split("/").slice(1);
    let node = this.#root;
    for (const [index, segment] of segments.entries()) {
      const name = /^\{(\w+)(\.\.\.)?\}$/.exec(segment);
      if (name?.[2] !== undefined) {
        if (segments.length > index + 2) throw new Error(`${route.path}: one literal may follow {name...}`);
        const key = `${route.method} ${segments[index + 1] ?? ""}`;
        claim(node.rests, key, { name: name[1]!, route });
        return;
      }
      node = name === null ? literalChild(node, segment) : paramChild(node, name[1]!);
    }
    claim(node.routes, route.method, route);
  }
}

function claim<T>(table: Map<string, T>, key: string, value: T): void {
  if (table.has(key)) throw new Error(`two routes for ${key}`);
  table.set(key, value);
}

function literalChild<R>(node: TreeNode<R>, segment: string): TreeNode<R> {
  let child = node.literals.get(segment);
  if (child === undefined) node.literals.set(segment, (child = new TreeNode<R>()));
  return child;
}

function paramChild<R>(node: TreeNode<R>, name: string): TreeNode<R> {
  node.param ??= { name, node: new TreeNode<R>() };
  if (node.param.name !== name) throw new Error(`{${name}} is called {${node.param.name}} in another route`);
  return node.param.node;
}

interface Search {
  readonly method: string;
  readonly segments: readonly string[];
  readonly params: Map<string, string>;
}

function search<R>(node: TreeNode<R>, wanted: Search, index: number): R | undefined {
  const { method, segments, params } = wanted;
  const segment = segments[index];
  if (segment === undefined) return node.routes.get(method);
  const literal = node.literals.get(segment);
  const found = literal === undefined ? undefined : search(literal, wanted, index + 1);
  if (found !== undefined) return found;
  if (node.param !== undefined && segment !== "") {
    const route = search(node.param.node, wanted, index + 1);
    if (route !== undefined) {
      params.set(node.param.name, segment);
      return route;
    }
  }
  return searchRest(node, wanted, index);
}

function searchRest<R>(node: TreeNode<R>, wanted: Search, index: number): R | undefined {
  const { method, segments, params } = wanted;
  if (node.rests.size === 0) return undefined;
  const last = segments.length - 1;
  const before = index < last ? node.rests.get(`${method} ${segments[last]}`) : undefined;
  const rest = before ?? node.rests.get(`${method} `);
  const name = segments.slice(index, before === undefined ? undefined : last).join("/");
  if (rest === undefined || name === "") return undefined;
  params.set(rest.name, name);
  return rest.route;
}
