import { libc, systemError } from "./libc.ts";

const getrlimit = libc.func("int getrlimit(int resource, void *limits)");
const RLIMIT_NOFILE = 7;

/**
 * How many files this process may have open: the number of every new descriptor is below (getrlimit(2)). Takes a
 * microsecond and no descriptor.
 */
export function descriptorLimit(): number {
  // struct rlimit: two unsigned 64-bit numbers, what holds now and how far it may be raised.
  const limits = new BigUint64Array(2);
  if ((getrlimit(RLIMIT_NOFILE, limits) as number) !== 0) throw systemError("read the limit of open files");
  return Number(limits[0]);
}
