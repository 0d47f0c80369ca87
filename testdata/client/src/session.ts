// The Supabase session, and what a front end may learn of it.

/** What is needed of a supabase-js client. */
export interface Supabase {
  auth: {
    getSession(): Promise<SessionAnswer>;
    refreshSession(): Promise<SessionAnswer>;
  };
}

interface SessionAnswer {
  data: { session: { access_token: string } | null };
  error: Error | null;
}

/**
 * Why there is no key: `pending` and `unavailable` pass, `conflict` needs an operator. `not_eligible` is a rule of the
 * product: no e-mail address, another role, or no second factor; until that is changed no refresh mends it. `ready` is
 * none of these: there is a key, and it stays out of the token (`KEY_IN_CLAIMS=false`), so that only the gateway uses it.
 */
export type KeyStatus = "ready" | "pending" | "unavailable" | "conflict" | "not_eligible" | "none" | "signed out";

/** The token has no Coder key, even after the session was refreshed. */
export class NoKeyError extends Error {
  constructor(readonly status: KeyStatus) {
    super(
      status === "ready"
        ? "no Coder key: coderhook keeps it out of the token; reach Coder through its gateway: connect(supabase, { gateway })"
        : `no Coder key: ${status}`,
    );
    this.name = "NoKeyError";
  }
}

export interface Sessions {
  token(): Promise<string>;
  refresh(): Promise<string>;
  /** Gives another token than the refused one. Requests that are refused at the same time refresh the session once. */
  replace(refused: string): Promise<string>;
}

export function shared(supabase: Supabase): Sessions {
  let refreshing: Promise<string> | undefined;
  const token = async () => tokenOf(await supabase.auth.getSession());
  const refresh = () =>
    (refreshing ??= supabase.auth
      .refreshSession()
      .then(tokenOf)
      .finally(() => {
        refreshing = undefined;
      }));
  const replace = async (refused: string) => {
    const current = await token();
    return current === refused ? refresh() : current;
  };
  return { token, refresh, replace };
}

function tokenOf(answer: SessionAnswer): string {
  if (answer.error) throw answer.error;
  if (!answer.data.session) throw new NoKeyError("signed out");
  return answer.data.session.access_token;
}
