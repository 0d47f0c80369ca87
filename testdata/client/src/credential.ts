// The header that says who asks: the one place that knows the key, and only where no gateway is used.

import { type KeyStatus, NoKeyError } from "./session.js";

/** Makes a header, its name and its value, of the access token. */
export type Credential = (token: string) => [string, string];

/** For coderhook and its gateway, which read the token themselves. It is not looked into here. */
export const bearer: Credential = (token) => ["Authorization", `Bearer ${token}`];

/** For Coder itself, with the key that is in the token. */
export const key: Credential = (token) => {
  const { api_key, api_key_status } = metadata(token);
  if (!api_key) throw new NoKeyError(api_key_status ?? "none");
  return ["Coder-Session-Token", api_key];
};

/**
 * The key is in the access token's claims. It is not in session.user.app_metadata: that is
 * the user as stored, and the hook changes only the token.
 */
function metadata(token: string): { api_key?: string; api_key_status?: KeyStatus } {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (char) => char.charCodeAt(0));
  return JSON.parse(new TextDecoder().decode(bytes)).app_metadata ?? {};
}
