// Stands in for Supabase Auth's REST API, as far as supabase-js uses it here.

import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { forAnyOrigin, json, listen, read } from "./http";

/** A key that somebody put into a token by mistake. Nobody may read it. */
export const poison = "POISONEDAA-Zq7wXk2mNf9bTr4vLs8cHd";

export interface Account {
  id: string;
  email: string;
  refreshes: number;
  tokens: string[]; // the last one is in use
}

export async function startAuth() {
  const accounts = new Map<string, Account>();
  const sessions = new Map<string, Account>(); // by refresh token
  const { url, close } = await listen(async (request, response) => {
    if (forAnyOrigin(request, response)) return;
    const at = new URL(request.url!, "http://auth");
    const body = JSON.parse((await read(request)) || "{}");
    if (at.pathname === "/auth/v1/signup") {
      const account: Account = { id: randomUUID(), email: body.email, refreshes: 0, tokens: [] };
      accounts.set(account.email, account);
      return session(response, account);
    }
    if (at.searchParams.get("grant_type") !== "refresh_token") return json(response, 204, {});
    const account = sessions.get(body.refresh_token);
    if (!account) return json(response, 400, { code: 400, error_code: "refresh_token_not_found", msg: "Invalid Refresh Token" });
    sessions.delete(body.refresh_token); // it is good for one use
    account.refreshes++;
    session(response, account);
  });

  function session(response: ServerResponse<IncomingMessage>, account: Account) {
    const token = mint(account);
    const refresh = randomUUID();
    account.tokens.push(token);
    sessions.set(refresh, account);
    const { id, email } = account;
    json(response, 200, {
      access_token: token, token_type: "bearer", expires_in: 3600, expires_at: seconds() + 3600, refresh_token: refresh,
      user: { id, email, aud: "authenticated", role: "authenticated", app_metadata: {}, user_metadata: {}, created_at: new Date().toISOString() },
    });
  }

  /** The account whose present token that is. */
  const owner = (token: string) => [...accounts.values()].find(({ tokens }) => tokens.includes(token));
  return { url, close, accounts, owner, end: (account: Account) => {
    for (const [refresh, of] of sessions) if (of === account) sessions.delete(refresh);
  } };
}

/** Without a key, as the gateway's setting makes tokens; or with a poisoned one. */
function mint({ id, email }: Account): string {
  const app_metadata = email.startsWith("poisoned") ? { api_key: poison } : { api_key_status: "ready" };
  const claims = { sub: id, email, role: "authenticated", exp: seconds() + 3600, jti: randomUUID(), app_metadata };
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return [part({ alg: "HS256", typ: "JWT" }), part(claims), Buffer.from(randomUUID()).toString("base64url")].join(".");
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
