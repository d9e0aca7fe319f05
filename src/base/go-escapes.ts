/** The letters that stand for control characters behind a backslash, in Go and in shells' `$'…'`. */
export const controlEscapes: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
