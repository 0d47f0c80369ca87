// Requests by axios and by fetch. A missing or refused credential (401) is worth one refresh; 403 and 409 are for a
// person to read, and 429 and 503 say in `Retry-After` when to come back.

import axios, { type AxiosInstance, type AxiosResponse, type InternalAxiosRequestConfig, isAxiosError } from "axios";
import type { Credential } from "./credential.js";
import { pause, retryAfter } from "./pause.js";
import { type KeyStatus, NoKeyError, type Sessions } from "./session.js";

/** Where requests go, and who asks. */
export interface Target {
  base: string;
  sessions: Sessions;
  credential: Credential;
  /** For how many seconds to wait while the gateway makes the user's key (202 with Retry-After). */
  patience?: number;
}

/** A request that may have been sent before, with an older token. */
interface Request extends InternalAxiosRequestConfig {
  token?: string;
  repeated?: boolean;
  waited?: number;
}

export function instance(target: Target): AxiosInstance {
  // The credential goes to this address only: not where an absolute URL or a redirect leads.
  const http = axios.create({ baseURL: target.base, allowAbsoluteUrls: false, maxRedirects: 0 });

  http.interceptors.request.use(async (config: Request) => {
    const signed = await sign(target, config.repeated);
    config.token = signed.token;
    config.repeated ||= signed.refreshed;
    config.headers.set(...signed.header);
    return config;
  });

  http.interceptors.response.use(
    (response) => (target.patience !== undefined ? whenReady(http, response, target.patience) : response),
    async (error: unknown) => {
      const config = isAxiosError(error) ? (error.config as Request | undefined) : undefined;
      if (!isAxiosError(error) || !config?.token || config.repeated || error.response?.status !== 401) throw error;
      config.repeated = true;
      await target.sessions.replace(config.token);
      return http.request(config);
    },
  );
  return http;
}

/** Sends the request again when its answer is that the key is still being made. It did not reach Coder. */
async function whenReady(http: AxiosInstance, response: AxiosResponse, patience: number): Promise<AxiosResponse> {
  const after = response.headers["retry-after"];
  if (response.status !== 202 || after === undefined) return response;
  const config = response.config as Request;
  config.waited = (config.waited ?? 0) + retryAfter(after);
  if (config.waited > patience) throw new NoKeyError("pending");
  await pause(retryAfter(after), config.signal as AbortSignal | undefined);
  return http.request(config);
}

/** What no refresh changes. */
const lasting: KeyStatus[] = ["not_eligible", "ready"];

/** Makes the header of the session's token, refreshing the session once where the token has no credential. */
async function sign({ sessions, credential }: Target, repeated = false) {
  let token = await sessions.token();
  try {
    return { token, header: credential(token), refreshed: false };
  } catch (error) {
    if (repeated || (error instanceof NoKeyError && lasting.includes(error.status))) throw error;
    token = await sessions.refresh();
    return { token, header: credential(token), refreshed: true };
  }
}

/** The `fetch` of one address: it takes paths, not addresses, and follows no redirect. */
export type Fetch = (path: string, init?: RequestInit) => Promise<Response>;

export function fetcher(target: Target): Fetch {
  return async (path, init = {}) => {
    const url = address(target.base, path);
    const once = init.body instanceof ReadableStream; // then it can't be sent again
    for (let waited = 0, repeated = false; ; ) {
      const { token, header, refreshed } = await sign(target, repeated);
      repeated ||= refreshed;
      const headers = new Headers(init.headers);
      headers.set(...header);
      const response = await fetch(url, { ...init, headers, redirect: "error" });
      if (response.status === 401 && !repeated && !once) {
        repeated = true;
        await response.body?.cancel();
        await target.sessions.replace(token);
        continue;
      }
      const after = response.headers.get("Retry-After");
      if (response.status !== 202 || after === null || target.patience === undefined) return response;
      await response.body?.cancel();
      waited += retryAfter(after);
      if (once || waited > target.patience) throw new NoKeyError("pending");
      await pause(retryAfter(after), init.signal);
    }
  };
}

/** Joins the two, so that the credential stays at this address. */
export function address(base: string, path: string): string {
  if (!path.startsWith("/")) throw new TypeError(`${path} is no path: it has to begin with a slash`);
  return base + path;
}
