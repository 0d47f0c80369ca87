/** Waits so many seconds, and fails at once when the signal is aborted. */
export function pause(seconds: number, signal?: AbortSignal | null): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, seconds * 1000);
    if (signal?.aborted) stop();
    else signal?.addEventListener("abort", stop, { once: true });
  });
}

/** The seconds of a Retry-After header, 1 where it has none, from 1 to 60. */
export function retryAfter(header: unknown): number {
  const seconds = Number(header ?? 1);
  return Number.isFinite(seconds) ? Math.min(Math.max(seconds, 1), 60) : 1;
}
