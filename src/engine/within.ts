/** True when `promise` settled within `timeoutMs`, false when not; it goes on all the same. A negative time has no end. */
export async function within(promise: Promise<unknown>, timeoutMs: number): Promise<boolean> {
  if (timeoutMs < 0) return promise.then(() => true);
  const late = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => late.resolve(false), timeoutMs);
  try {
    return await Promise.race([promise.then(() => true), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
