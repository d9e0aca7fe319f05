/** Docker's words for addresses and aliases that a network cannot give; from version 25 on it tells all of them at once. Pure. */
import { invalidArgument } from "../base/errors.ts";
import { type Family, parseAddress, type Prefix, prefixContains } from "./ip.ts";

/** What a container asks of one network. */
export interface AskedSettings {
  readonly ipv4Address?: string | undefined;
  readonly ipv6Address?: string | undefined;
  readonly linkLocalAddresses?: readonly string[] | null | undefined;
  readonly aliases?: readonly string[] | null | undefined;
}

export interface SettingsTarget {
  readonly isUserDefined: boolean;
  /** Subnets that a user chose: only in these can addresses be asked for. Undefined while there is no such network. */
  readonly userSubnets: readonly Prefix[] | undefined;
}

const isAny = (address: { readonly value: bigint }): boolean => address.value === 0n;

function* predefinedProblems(
  { ipv4Address, ipv6Address, aliases }: AskedSettings,
  { isUserDefined }: SettingsTarget,
): Generator<string> {
  if (isUserDefined) return;
  if (ipv4Address || ipv6Address)
    yield "user specified IP address is supported on user defined networks only";
  if ((aliases ?? []).length > 0)
    yield "network-scoped alias is supported only for containers in user defined networks";
}

function* malformed({ ipv4Address, ipv6Address, linkLocalAddresses }: AskedSettings): Generator<string> {
  for (const [family, text] of [
    [4, ipv4Address],
    [6, ipv6Address],
  ] as const) {
    const address = parseAddress(text ?? "");
    if (text && (address?.family !== family || isAny(address))) yield `invalid IPv${family} address: ${text}`;
  }
  for (const text of linkLocalAddresses ?? []) {
    const address = parseAddress(text);
    if (address === undefined || isAny(address)) yield `invalid link-local IP address: ${text}`;
  }
}

function* outOfReach(
  { ipv4Address, ipv6Address }: AskedSettings,
  { userSubnets }: SettingsTarget,
): Generator<string> {
  if (userSubnets === undefined) return;
  const problem = (family: Family, text: string): string | undefined => {
    const subnets = userSubnets.filter((subnet) => subnet.family === family);
    if (subnets.length === 0)
      return "user specified IP address is supported only when connecting to networks with user configured subnets";
    const address = parseAddress(text);
    const isInside = address !== undefined && subnets.some((subnet) => prefixContains(subnet, address));
    return isInside ? undefined : `no configured subnet or ip-range contain the IP address ${text}`;
  };
  const problems = [ipv4Address && problem(4, ipv4Address), ipv6Address && problem(6, ipv6Address)];
  for (const text of problems) if (text) yield text;
}

/** Throws `invalidArgument` with everything that is wrong; `where` is put before. */
export function checkSettings(asked: AskedSettings, target: SettingsTarget, where = ""): void {
  const problems = [...predefinedProblems(asked, target), ...malformed(asked), ...outOfReach(asked, target)];
  if (problems.length === 0) return;
  const list = problems.length === 1 ? problems[0] : problems.map((problem) => `* ${problem}`).join("\n");
  throw invalidArgument(`${where}invalid endpoint settings:\n${list}`);
}
