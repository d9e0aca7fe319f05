import { digestOf } from "./digest.ts";

/**
 * The chainIDs of a stack of layers, bottom first: what names an unpacked layer together with everything below it
 * (OCI image specification 1.1, config, section Layer ChainID).
 */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const below = chain.at(-1);
    chain.push(below === undefined ? diffId : digestOf(`${below} ${diffId}`));
  }
  return chain;
}
