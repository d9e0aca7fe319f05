/**
 * Order of names in listings with their numbers in order of size, as Docker's: `a2` before `a10`, digits before other
 * characters, of equal numbers the one with fewer zeros first.
 */
export function compareNames(a: string, b: string): number {
  const left = a.match(/\d+|\D/gu) ?? [];
  const right = b.match(/\d+|\D/gu) ?? [];
  for (let index = 0; index < Math.min(left.length, right.length); index++) {
    const order = compareTokens(left[index]!, right[index]!);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

const isNumber = (token: string): boolean => /^\d/.test(token);

function compareTokens(x: string, y: string): number {
  if (x === y) return 0;
  if (isNumber(x) !== isNumber(y)) return isNumber(x) ? -1 : 1;
  if (!isNumber(x)) return x.codePointAt(0)! - y.codePointAt(0)!;
  const [number, other] = [x.replace(/^0+/, ""), y.replace(/^0+/, "")];
  return number.length - other.length || (number < other ? -1 : number > other ? 1 : x.length - y.length);
}
