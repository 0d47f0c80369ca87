// Requests through the gateway, with the real axios and supabase-js, against a gateway that holds them to the protocol.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createClient } from "@supabase/supabase-js";
import { isAxiosError } from "axios";
import WebSocket from "ws";
import { connect, NoKeyError, retryAfter, type Supabase } from "../../src/coder";
import { startAuth } from "./auth";
import { startGateway } from "./gateway";
import { until } from "./http";

let auth: Awaited<ReturnType<typeof startAuth>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let people = 0;

before(async () => {
  auth = await startAuth();
  gateway = await startGateway(auth);
});
after(() => Promise.all([auth?.close(), gateway?.close()]));
afterEach(() => assert.deepEqual(gateway.faults, []));

async function signUp(kind = "plain") {
  const supabase = createClient(auth.url, "anon", {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never },
  });
  const email = `${kind}-${++people}@example.com`;
  const { error } = await supabase.auth.signUp({ email, password: "correct horse" });
  assert.equal(error, null);
  gateway.received.length = 0;
  return { supabase, account: auth.accounts.get(email)!, coder: connect(supabase, { gateway: gateway.url }) };
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    assert.ok(isAxiosError(error), String(error));
    return error.response!;
  }
  assert.fail("it was not refused");
}

for (const kind of ["plain", "poisoned"]) {
  test(`Coder's API without a key (${kind} token)`, async () => {
    const { account, coder } = await signUp(kind);
    assert.equal((await coder.api.get("/api/v2/users/me")).data.email, account.email);
    assert.equal((await (await coder.fetch("/api/v2/users/me")).json()).email, account.email);
    const { data } = await coder.api.get("/api/v2/workspaces", { params: { q: "owner:me" } });
    assert.equal(data.workspaces[0].name, "dev");
    assert.equal(account.refreshes, 0);
    assert.equal(gateway.received.at(-1)?.url, "/coder/api/v2/workspaces?q=owner:me");
  });
}

test("the token is not looked into", async () => {
  const opaque = "no.json.here";
  auth.accounts.set("opaque", { id: "o-1", email: "opaque", refreshes: 0, tokens: [opaque] });
  const answer = async () => ({ data: { session: { access_token: opaque } }, error: null });
  const coder = connect({ auth: { getSession: answer, refreshSession: answer } } satisfies Supabase, { gateway: gateway.url });
  assert.equal((await coder.api.get("/api/v2/users/me")).data.email, "opaque");
  assert.equal((await coder.fetch("/api/v2/users/me")).status, 200);
});

test("401: one refresh for all requests at the same time, and bodies are sent again as they were", async () => {
  const { account, coder } = await signUp();
  gateway.refused.add(account.tokens.at(-1)!);
  const answers = await Promise.all([
    ...Array.from({ length: 4 }, () => coder.api.post("/api/v2/files", { a: 1 }).then(({ data }) => data)),
    ...Array.from({ length: 4 }, () => coder.fetch("/api/v2/files", { method: "POST", body: '{"a":1}' }).then((r) => r.json())),
  ]);
  assert.deepEqual(answers, Array(8).fill({ body: '{"a":1}' }));
  assert.equal(account.refreshes, 1);
});

test("401 after the refresh is an answer", async () => {
  const { account, coder } = await signUp();
  gateway.answers.push(...Array.from({ length: 4 }, () => ({ status: 401, message: "who?" })));
  assert.equal((await refusal(coder.api.get("/api/v2/users/me"))).data.error.message, "who?");
  assert.equal((await coder.fetch("/api/v2/users/me")).status, 401);
  assert.equal(account.refreshes, 2);
  assert.equal(gateway.received.length, 4);
});

test("202: the request is sent again when the key is there", async () => {
  const { account, coder } = await signUp();
  const pending = { status: 202, headers: { "Retry-After": "1" } };
  gateway.answers.push(pending, pending);
  const [one, other] = await Promise.all([
    coder.api.post("/api/v2/files", { a: 1 }),
    coder.fetch("/api/v2/files", { method: "POST", body: '{"a":1}' }),
  ]);
  assert.deepEqual([one.status, one.data], [201, { body: '{"a":1}' }]);
  assert.deepEqual([other.status, await other.json()], [201, { body: '{"a":1}' }]);
  assert.equal(account.refreshes, 0);
});

test("202: patience ends", async () => {
  const { supabase } = await signUp();
  const coder = connect(supabase, { gateway: gateway.url, patience: 0 });
  const pending = { status: 202, headers: { "Retry-After": "1" } };
  gateway.answers.push(pending, pending);
  const isPending = (error: unknown) => error instanceof NoKeyError && error.status === "pending";
  await assert.rejects(coder.api.get("/api/v2/users/me"), isPending);
  await assert.rejects(coder.fetch("/api/v2/users/me"), isPending);
});

test("202: an abort ends the wait", async () => {
  const { supabase } = await signUp();
  const coder = connect(supabase, { gateway: gateway.url, patience: 3600 });
  gateway.answers.push({ status: 202, headers: { "Retry-After": "60" } });
  const stop = new AbortController();
  const answer = coder.fetch("/api/v2/users/me", { signal: stop.signal });
  await until("it was asked", () => gateway.received.length === 1);
  stop.abort(new Error("enough"));
  await assert.rejects(answer);
});

test("a refusal is an answer with its text, and is not sent again", async () => {
  const { account, coder } = await signUp();
  for (const status of [403, 409, 429, 503]) {
    gateway.answers.push({ status, message: `because ${status}`, headers: { "Retry-After": "7" } });
    const refused = await refusal(coder.api.get("/api/v2/users/me"));
    assert.deepEqual([refused.status, refused.data.error.message], [status, `because ${status}`]);
    assert.equal(retryAfter(refused.headers["retry-after"]), 7);
  }
  assert.equal(gateway.received.length, 4);
  assert.equal(account.refreshes, 0);
});

test("an answer is read as it comes", async () => {
  const { coder } = await signUp();
  const reader = (await coder.fetch("/api/v2/stream")).body!.getReader();
  assert.equal(new TextDecoder().decode((await reader.read()).value), "first\n");
  assert.equal(new TextDecoder().decode((await reader.read()).value), "second\n");
});

test("the session goes nowhere else", async () => {
  const { coder } = await signUp();
  for (const path of [`${auth.url}/auth/v1/user`, "@127.0.0.1/", ".evil.example.com/", ""]) {
    await assert.rejects(coder.fetch(path), TypeError);
    await assert.rejects(coder.webSocket(path), TypeError);
  }
  assert.equal((await refusal(coder.api.get(`${auth.url}/auth/v1/user`))).status, 404); // the gateway's
  await assert.rejects(coder.fetch("/away"), TypeError);
  assert.equal((await refusal(coder.api.get("/away"))).status, 303);
});

test("coderhook's own routes are at the gateway's origin", async () => {
  const { account, coder } = await signUp();
  assert.equal(await coder.workspaceAppLocation("https://a--b.apps/"), "https://a--b.apps/?coder_application_connect_api_key_0=once");
  assert.ok("created" in (await coder.createCoderUser()));
  assert.deepEqual(gateway.received.map(({ url }) => url.split("?")[0]), ["/applications/auth-redirect", "/create-coder-user"]);
  assert.equal(account.refreshes, 0);
});

test("without a session nothing is sent", async () => {
  const { supabase, coder } = await signUp();
  await supabase.auth.signOut({ scope: "local" });
  const signedOut = (error: unknown) => error instanceof NoKeyError && error.status === "signed out";
  for (const work of [coder.api.get("/x"), coder.fetch("/x"), coder.webSocket("/x")]) await assert.rejects(work, signedOut);
  assert.equal(gateway.received.length, 0);
});
