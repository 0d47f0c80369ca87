// Coder in a front end whose users are signed in with Supabase. Copy this file; it needs axios.

import axios, { type AxiosInstance, type InternalAxiosRequestConfig, isAxiosError } from "axios";

/** What is needed of a supabase-js client. */
export interface Supabase {
  auth: {
    getSession(): Promise<{ data: { session: Session | null }; error: Error | null }>;
    refreshSession(): Promise<{ data: { session: Session | null }; error: Error | null }>;
  };
}

interface Session {
  access_token: string;
}

/**
 * Why there is no key: `pending` and `unavailable` pass, `conflict` needs an operator. `not_eligible` is a rule of the
 * product: no e-mail address, another role, or no second factor; until that is changed no refresh mends it.
 */
export type KeyStatus = "pending" | "unavailable" | "conflict" | "not_eligible" | "none" | "signed out";

/** The user has no Coder key, even after the session was refreshed. */
export class NoKeyError extends Error {
  constructor(readonly status: KeyStatus) {
    super(`no Coder key: ${status}`);
    this.name = "NoKeyError";
  }
}

/** What POST /create-coder-user answers. */
export type CoderUser =
  | { user_id: string; coder_user_id: string; username: string; created: boolean }
  | { user_id: string; status: "pending" };

/**
 * @param urls.coder where Coder's API is reached. Coder itself lets no page of another origin
 *   send its header, so this is a path of your own site that is passed on to Coder.
 * @param urls.hook where coderhook is reached.
 */
export function connect(supabase: Supabase, urls: { coder: string; hook: string }) {
  const sessions = shared(supabase);
  const api = instance(urls.coder, sessions, (token) => {
    const { api_key: key, api_key_status: status } = metadata(token);
    if (!key) throw new NoKeyError(status ?? "none");
    return ["Coder-Session-Token", key];
  });
  const hook = instance(urls.hook, sessions, (token) => ["Authorization", `Bearer ${token}`]);

  /** Makes sure that the user has a Coder account and a key, as after the sign-up. */
  async function createCoderUser(): Promise<CoderUser> {
    const { data } = await hook.post<CoderUser>("/create-coder-user");
    if ("created" in data) await sessions.refresh(); // the key comes with the next token
    return data;
  }

  /** The address that signs the user in to a workspace app. It is a secret, and good for one use. */
  async function workspaceAppLocation(url: string): Promise<string> {
    const { data } = await hook.get<{ location: string }>("/applications/auth-redirect", {
      params: { redirect_uri: url },
    });
    return data.location;
  }

  /** Opens a workspace app in a new tab. Call it from a click, or the browser blocks the tab. */
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

  return { api, createCoderUser, workspaceAppLocation, openWorkspaceApp };
}

interface Sessions {
  token(): Promise<string>;
  refresh(): Promise<string>;
}

/** Many requests that fail at the same time refresh the session once. */
function shared(supabase: Supabase): Sessions {
  let refreshing: Promise<string> | undefined;
  return {
    token: async () => tokenOf(await supabase.auth.getSession()),
    refresh: () =>
      (refreshing ??= supabase.auth
        .refreshSession()
        .then(tokenOf)
        .finally(() => {
          refreshing = undefined;
        })),
  };
}

function tokenOf(answer: Awaited<ReturnType<Supabase["auth"]["getSession"]>>): string {
  if (answer.error) throw answer.error;
  if (!answer.data.session) throw new NoKeyError("signed out");
  return answer.data.session.access_token;
}

/** A request that may have been sent before, with an older token. */
interface Request extends InternalAxiosRequestConfig {
  token?: string;
  repeated?: boolean;
}

/**
 * An axios instance that sends what `credential` makes of the token. A missing or refused one (401) is worth one
 * refresh; 403 and 409 are for a person to read, and 503 says in `Retry-After` when to come back.
 */
function instance(baseURL: string, sessions: Sessions, credential: (token: string) => [string, string]): AxiosInstance {
  // The credential goes to this address only: not where an absolute URL or a redirect leads.
  const http = axios.create({ baseURL, allowAbsoluteUrls: false, maxRedirects: 0 });

  http.interceptors.request.use(async (config: Request) => {
    config.token = await sessions.token();
    let [name, value] = ["", ""];
    try {
      [name, value] = credential(config.token);
    } catch (error) {
      if (config.repeated || (error instanceof NoKeyError && error.status === "not_eligible")) throw error;
      config.repeated = true;
      config.token = await sessions.refresh();
      [name, value] = credential(config.token);
    }
    config.headers.set(name, value);
    return config;
  });

  http.interceptors.response.use(undefined, async (error: unknown) => {
    const config = isAxiosError(error) ? (error.config as Request | undefined) : undefined;
    if (!isAxiosError(error) || !config || config.repeated || error.response?.status !== 401) throw error;
    config.repeated = true;
    // Unless another request has done so since this one was sent.
    if ((await sessions.token()) === config.token) await sessions.refresh();
    return http.request(config);
  });

  return http;
}

/**
 * The key is in the access token's claims. It is not in session.user.app_metadata: that is
 * the user as stored, and the hook changes only the token.
 */
function metadata(token: string): { api_key?: string; api_key_status?: KeyStatus } {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)).app_metadata ?? {};
}
