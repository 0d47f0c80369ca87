// WebSockets through the gateway. A browser can set no header on one, so the session goes in a subprotocol,
// as Kubernetes does it; never in the address, which is kept in logs.

import { pause, retryAfter } from "./pause.js";
import { address, type Fetch } from "./requests.js";
import { NoKeyError, type Sessions } from "./session.js";

export type WebSocketClass = new (url: string, protocols: string[]) => WebSocket;

/** The socket will not open, however often it is tried. */
export class RefusedError extends Error {
  constructor(readonly status: number, text: string) {
    super(`refused with ${status}: ${text}`);
    this.name = "RefusedError";
  }
}

/** Opens a socket, and says with which token. */
export type Dial = (path: string) => Promise<{ socket: WebSocket; token: string }>;

export function dialer(base: string, sessions: Sessions, given?: WebSocketClass): Dial {
  return async (path) => {
    const url = address(base.replace(/^http/, "ws"), path);
    const token = await sessions.token(); // getSession refreshes one that is about to expire
    const Class = given ?? (globalThis.WebSocket as WebSocketClass);
    return { socket: new Class(url, protocols(token)), token };
  };
}

function protocols(token: string): string[] {
  const base64url = btoa(token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  return ["coderhook.v1", `base64url.bearer.authorization.coderhook.${base64url}`];
}

/** Gives the messages of a socket, and opens it again when it breaks. */
export type Messages = (path: string | (() => string), signal?: AbortSignal) => AsyncGenerator<string, void>;

export function messenger(dial: Dial, sessions: Sessions, fetch: Fetch): Messages {
  return async function* messages(path, signal) {
    const now = typeof path === "string" ? () => path : path;
    let failures = 0; // since the last message
    let renewed = false;
    while (!signal?.aborted) {
      const { socket, token } = await dial(now());
      const closed = yield* read(socket, signal);
      if (closed.received) [failures, renewed] = [0, false];
      if (signal?.aborted || closed.code === 1000 || closed.code === 1005) return; // 1005: closed without a code
      let least = 0;
      if ([1008, 3000, 3003, 4401].includes(closed.code)) { // the session has ended
        if (renewed) throw new RefusedError(401, closed.reason);
        renewed = true;
        await sessions.replace(token);
      } else if (!closed.opened) {
        least = await ask(fetch, now(), signal);
      }
      const backoff = Math.min(2 ** failures++, 30) * (0.5 + Math.random() / 2);
      await pause(Math.max(least, backoff), signal).catch(() => {}); // when aborted the loop ends
    }
  };
}

interface Closed {
  code: number;
  reason: string;
  opened: boolean;
  received: boolean;
}

async function* read(socket: WebSocket, signal?: AbortSignal): AsyncGenerator<string, Closed> {
  const queue: string[] = [];
  let [opened, received] = [false, false];
  let closed: Closed | undefined;
  let wake = () => {};
  socket.binaryType = "arraybuffer";
  socket.onopen = () => void (opened = true);
  socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
    received = true;
    queue.push(typeof data === "string" ? data : new TextDecoder().decode(data));
    wake();
  };
  socket.onerror = () => {}; // onclose follows
  socket.onclose = ({ code, reason }) => {
    closed = { code, reason, opened, received };
    wake();
  };
  const stop = () => {
    closed ??= { code: 1000, reason: "", opened, received };
    wake();
  };
  signal?.addEventListener("abort", stop);
  try {
    while (!signal?.aborted) {
      const text = queue.shift();
      if (text !== undefined) yield text;
      else if (closed) return closed;
      else await new Promise<void>((resolve) => (wake = resolve));
    }
    return closed ?? { code: 1000, reason: "", opened, received };
  } finally {
    signal?.removeEventListener("abort", stop);
    socket.close();
  }
}

/**
 * A browser does not say why a socket did not open; a request to the same path is told. That also refreshes a
 * refused session, and waits for a key. Gives the seconds after which to come back; what stays refused is an error.
 */
async function ask(fetch: Fetch, path: string, signal?: AbortSignal): Promise<number> {
  try {
    const response = await fetch(path, signal ? { signal } : {});
    const { status } = response;
    if (status >= 400 && status < 500 && ![408, 426, 429].includes(status)) { // 426: nothing but the upgrade is missing
      throw new RefusedError(status, await response.text());
    }
    await response.body?.cancel();
    return status === 429 || status === 503 ? retryAfter(response.headers.get("Retry-After")) : 0;
  } catch (error) {
    const passes = error instanceof TypeError || signal?.aborted; // fetch's own: not reached
    if (passes || (error instanceof NoKeyError && error.status === "pending")) return 0;
    throw error;
  }
}
