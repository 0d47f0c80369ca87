// Coder in a front end whose users are signed in with Supabase.

import type { AxiosInstance } from "axios";
import { bearer, key } from "./credential.js";
import { type Fetch, fetcher, instance } from "./requests.js";
import { shared, type Supabase } from "./session.js";
import { type Messages, dialer, messenger, type WebSocketClass } from "./sockets.js";

export { retryAfter } from "./pause.js";
export type { Fetch } from "./requests.js";
export { type KeyStatus, NoKeyError, type Supabase } from "./session.js";
export { type Messages, RefusedError, type WebSocketClass } from "./sockets.js";

/** Coder is reached through coderhook's gateway: the page never has a key. */
export interface ThroughGateway {
  /** Where the gateway is, like `https://coderhook.example.com/coder`. */
  gateway: string;
  /** Where coderhook's other routes are. Default: the gateway's origin. */
  hook?: string;
  /** For how many seconds a request waits while the user's key is made. Default: 30. A server had better not wait. */
  patience?: number;
  /** For Node before version 22, which has none: `ws`. */
  WebSocket?: WebSocketClass;
  coder?: never;
}

/** Coder is reached with the key in the token's claims. */
export interface WithKey {
  /**
   * Where Coder's API is reached. Coder itself lets no page of another origin send its header, so this is a path of
   * your own site that is passed on to Coder.
   */
  coder: string;
  /** Where coderhook is reached. */
  hook: string;
  gateway?: never;
}

/** What POST /create-coder-user answers. */
export type CoderUser =
  | { user_id: string; coder_user_id: string; username: string; created: boolean }
  | { user_id: string; status: "pending" };

/** What both ways give. */
export interface Client {
  /** An axios instance for Coder's API. */
  api: AxiosInstance;
  /** The same by `fetch`, for answers that are read as they come. Fails with an error on a redirect. */
  fetch: Fetch;
  /** Makes sure that the user has a Coder account and a key, as after the sign-up. */
  createCoderUser(): Promise<CoderUser>;
  /** The address that signs the user in to a workspace app. It is a secret, and good for one use. */
  workspaceAppLocation(url: string): Promise<string>;
  /** Opens a workspace app in a new tab. Call it from a click, or the browser blocks the tab. */
  openWorkspaceApp(url: string): Promise<void>;
}

/** WebSockets are the gateway's: a page can send Coder its key only in an address, and there it must not be. */
export interface GatewayClient extends Client {
  /** Opens a WebSocket, like the web terminal's. It ends with the session; `messages` opens it again. */
  webSocket(path: string): Promise<WebSocket>;
  /**
   * Gives the messages of a WebSocket, and opens it again when it breaks. A function as path says each time from
   * where to go on. It ends when Coder closes the socket or the signal is aborted, and fails when that is no use.
   */
  messages: Messages;
}

export function connect(supabase: Supabase, at: ThroughGateway): GatewayClient;
export function connect(supabase: Supabase, at: WithKey): Client;
export function connect(supabase: Supabase, at: ThroughGateway | WithKey): Client | GatewayClient {
  const sessions = shared(supabase);
  if (at.gateway === undefined) {
    const coder = { base: at.coder, sessions, credential: key };
    return { api: instance(coder), fetch: fetcher(coder), ...routes(sessions, at.hook, true) };
  }
  const base = absolute(at.gateway);
  const gateway = { base, sessions, credential: bearer, patience: at.patience ?? 30 };
  const fetch = fetcher(gateway);
  const dial = dialer(base, sessions, at.WebSocket);
  return {
    api: instance(gateway),
    fetch,
    webSocket: async (path) => (await dial(path)).socket,
    messages: messenger(dial, sessions, fetch),
    ...routes(sessions, at.hook ?? new URL(base).origin, false),
  };
}

/** A WebSocket's address has to be whole; the page's own origin fills it up. */
function absolute(gateway: string): string {
  return new URL(gateway, globalThis.location?.href).href.replace(/\/+$/, "");
}

/** coderhook's own routes. */
function routes(sessions: ReturnType<typeof shared>, base: string, keyInClaims: boolean) {
  const hook = instance({ base, sessions, credential: bearer });

  async function createCoderUser(): Promise<CoderUser> {
    const { data } = await hook.post<CoderUser>("/create-coder-user");
    if (keyInClaims && "created" in data) await sessions.refresh(); // the key comes with the next token
    return data;
  }

  async function workspaceAppLocation(url: string): Promise<string> {
    const { data } = await hook.get<{ location: string }>("/applications/auth-redirect", {
      params: { redirect_uri: url },
    });
    return data.location;
  }

  async function openWorkspaceApp(url: string): Promise<void> {
    const tab = window.open("about:blank", "_blank"); // before the first await, while it is the click's
    if (!tab) throw new Error("the browser did not open a tab");
    tab.opener = null;
    try {
      tab.location.replace(await workspaceAppLocation(url));
    } catch (error) {
      tab.close();
      throw error;
    }
  }

  return { createCoderUser, workspaceAppLocation, openWorkspaceApp };
}
