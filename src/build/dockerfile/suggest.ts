/** "Did you mean": the nearest of several words. */

/** Words that are further apart than this are not alike. */
const maxDistance = 2;

/** Characters to insert, delete, replace or swap (optimal string alignment). */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const replaced = previous[column - 1]! + (a[row - 1] === b[column - 1] ? 0 : 1);
      let least = Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        least = Math.min(least, before[column - 2]! + 1);
      current.push(least);
    }
    before = previous;
    previous = current;
  }
  return previous[b.length]!;
}

/**
 * The option that `word` was most likely meant to be; undefined when none is near, or when `word` is one of them. Without
 * regard to case, the answer takes the word's case.
 */
export function nearest(
  word: string,
  options: Iterable<string>,
  { ignoreCase = false } = {},
): string | undefined {
  const wanted = ignoreCase ? word.toLowerCase() : word;
  let best: string | undefined;
  let bestDistance = maxDistance + 1;
  for (const option of options) {
    const candidate = ignoreCase ? option.toLowerCase() : option;
    if (candidate === wanted) return undefined;
    const far = distance(wanted, candidate);
    if (far >= bestDistance) continue;
    bestDistance = far;
    best = candidate;
  }
  return best !== undefined && ignoreCase && word === word.toUpperCase() ? best.toUpperCase() : best;
}

/** ` (did you mean X?)`, or nothing. */
export function didYouMean(
  word: string,
  options: Iterable<string>,
  settings: { readonly ignoreCase?: boolean } = {},
): string {
  const found = nearest(word, options, settings);
  return found === undefined ? "" : ` (did you mean ${found}?)`;
}
