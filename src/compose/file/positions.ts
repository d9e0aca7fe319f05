import { ComposeError, type Position } from "../errors.ts";
import { pathText, type TreePath } from "../tree.ts";

/** Where the keys of compose files stand, so that an error found after merging still names a line. */
export class Positions {
  readonly #places = new Map<string, Position>();

  /** Notes a place; what another file said before is replaced, as its value was. */
  set(path: TreePath, position: Position): void {
    this.#places.set(keyOf(path), position);
  }

  /** Notes a place unless there is one. */
  setIfNew(path: TreePath, position: Position): void {
    const key = keyOf(path);
    if (!this.#places.has(key)) this.#places.set(key, position);
  }

  /** The place of a path, or of the nearest thing around it. */
  get(path: TreePath): Position | undefined {
    for (let length = path.length; length > 0; length--) {
      const found = this.#places.get(keyOf(path.slice(0, length)));
      if (found !== undefined) return found;
    }
    return this.#places.get("");
  }

  /** Takes in places of another file; those that are there already stay when `keep` is set. */
  addAll(other: Positions, keep = false): void {
    for (const [key, position] of other.#places) {
      if (!keep || !this.#places.has(key)) this.#places.set(key, position);
    }
  }

  /** Gives everything below `to` the places of what is below `from` in another file, where it has none. */
  adopt(other: Positions, from: TreePath, to: TreePath): void {
    const start = keyOf(from);
    for (const [key, position] of other.#places) {
      if (key !== start && !key.startsWith(`${start}\0`)) continue;
      const moved = keyOf(to) + key.slice(start.length);
      if (!this.#places.has(moved)) this.#places.set(moved, position);
    }
  }

  /** An error about a path, with the place where it stands. */
  error(path: TreePath, message: string): ComposeError {
    const name = pathText(path);
    return new ComposeError(name === "" ? message : `${name}: ${message}`, {
      position: this.get(path),
      exitCode: 15,
    });
  }
}

function keyOf(path: TreePath): string {
  return path.join("\0");
}
