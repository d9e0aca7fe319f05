/** The number of single-letter edits, with swaps of neighbours as one, between two words (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (same ? 0 : 1));
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, beforeLast[column - 2]! + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length]!;
}

/** Up to three candidates that `word` may have been meant to be, the nearest first; none when nothing is near. */
export function nearest(word: string, candidates: Iterable<string>): string[] {
  const limit = word.length <= 3 ? 1 : word.length <= 6 ? 2 : 3;
  const near: { candidate: string; distance: number }[] = [];
  for (const candidate of new Set(candidates)) {
    const isPrefix = word.length >= 2 && candidate.startsWith(word);
    const distance = isPrefix ? 0.5 : editDistance(word.toLowerCase(), candidate);
    if (distance <= limit && distance < candidate.length) near.push({ candidate, distance });
  }
  near.sort((a, b) => a.distance - b.distance || (a.candidate < b.candidate ? -1 : 1));
  return near.slice(0, 3).map(({ candidate }) => candidate);
}
