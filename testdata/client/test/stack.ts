// What runs around the tests, as the Go test that starts them says.

function variable(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this with go test ./hook -run TestBrowserClient`);
  return value;
}

export const stack = {
  auth: variable("STACK_AUTH_URL"),
  hook: variable("STACK_HOOK_URL"),
  coder: variable("STACK_CODER_URL"),
  page: variable("STACK_PAGE_URL"),
  otherPage: variable("STACK_OTHER_PAGE_URL"),
  app: variable("STACK_APP_URL"),
};

/** Does something to the stack: what, the Go test knows. */
export async function control(what: string, email: string): Promise<string> {
  const answer = await fetch(`${stack.auth}/control/${what}?email=${encodeURIComponent(email)}`, { method: "POST" });
  if (!answer.ok) throw new Error(`${what}: ${answer.status} ${await answer.text()}`);
  return answer.text();
}

/** How often the sessions of a user were refreshed. */
export async function refreshes(email: string): Promise<number> {
  return Number(await control("refreshes", email));
}
