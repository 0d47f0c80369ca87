// The client with the real axios and supabase-js, against the running server.

import assert from "node:assert/strict";
import { test } from "node:test";
import { createClient } from "@supabase/supabase-js";
import { isAxiosError } from "axios";
import WebSocket from "ws";
import { connect, NoKeyError } from "../src/coder";
import { control, refreshes, stack } from "./stack";

let people = 0;

async function signUp() {
  const supabase = createClient(stack.auth, "anon", {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never }, // Node 20 has none of its own
  });
  const email = `node-${++people}@example.com`;
  const { data, error } = await supabase.auth.signUp({ email, password: "correct horse" });
  assert.equal(error, null);
  assert.ok(data.session);
  return { supabase, email, session: data.session, coder: connect(supabase, { coder: stack.coder, hook: stack.hook }) };
}

async function refusal(work: Promise<unknown>) {
  try {
    await work;
  } catch (error) {
    assert.ok(isAxiosError(error), String(error));
    return error.response;
  }
  assert.fail("it was not refused");
}

test("the key is in the token's claims and works", async () => {
  const { supabase, email, session, coder } = await signUp();
  assert.equal(session.user.app_metadata["api_key"], undefined);
  const claims = await supabase.auth.getClaims();
  assert.match(claims.data?.claims.app_metadata?.["api_key"], /^[A-Za-z0-9]{10}-[A-Za-z0-9]{22}$/);
  const me = await coder.api.get("/api/v2/users/me");
  assert.equal(me.data.email, email);
  assert.equal(me.data.username, session.user.id.split("-")[0]);
  assert.equal(await refreshes(email), 0);
});

test("a missing key: one refresh, then the request", async () => {
  const { supabase, email, coder } = await signUp();
  await control("without-hook", email);
  await supabase.auth.refreshSession();
  assert.equal((await coder.api.get("/api/v2/users/me")).data.email, email);
  assert.equal(await refreshes(email), 2);
});

test("a refused key: one refresh for all requests at the same time", async () => {
  const { email, coder } = await signUp();
  await control("revoke", email);
  const answers = await Promise.all(Array.from({ length: 8 }, () => coder.api.get("/api/v2/users/me")));
  assert.deepEqual(new Set(answers.map((answer) => answer.data.email)), new Set([email]));
  assert.equal(await refreshes(email), 1);
});

test("a body is sent again as it was", async () => {
  const { email, coder } = await signUp();
  await control("revoke", email);
  const answer = await coder.api.post("/api/v2/users/me/keys/tokens", { token_name: "mine", lifetime: 3_600_000_000_000 });
  assert.equal(answer.status, 201);
});

test("a key that stays refused is refused after one refresh", async () => {
  const { email, coder } = await signUp();
  await control("suspend", email);
  assert.equal((await refusal(coder.api.get("/api/v2/users/me")))?.status, 401);
  assert.equal(await refreshes(email), 1);
});

test("a key that stays missing says why", async () => {
  const { supabase, email, coder } = await signUp();
  await control("conflict", email);
  await supabase.auth.refreshSession();
  await assert.rejects(coder.api.get("/api/v2/users/me"), (error) => error instanceof NoKeyError && error.status === "conflict");
  assert.equal(await refreshes(email), 2);
});

test("who is not eligible is told so, and no refresh is tried", async () => {
  const { supabase, email, coder } = await signUp();
  await control("without-email", email);
  await supabase.auth.refreshSession();
  await assert.rejects(coder.api.get("/api/v2/users/me"), (error) => error instanceof NoKeyError && error.status === "not_eligible");
  const refused = await refusal(coder.createCoderUser());
  assert.equal(refused?.status, 403);
  assert.match(refused?.data.error.message, /no e-mail/);
  assert.equal((await refusal(coder.workspaceAppLocation(stack.app)))?.status, 403);
  assert.equal(await refreshes(email), 1);
});

test("without a session nothing is sent", async () => {
  const { supabase, coder } = await signUp();
  await supabase.auth.signOut({ scope: "local" });
  await assert.rejects(coder.api.get("/api/v2/users/me"), (error) => error instanceof NoKeyError && error.status === "signed out");
});

test("the key does not go to other servers", async () => {
  const { coder } = await signUp();
  const answer = await coder.api.get(`${stack.auth}/elsewhere`);
  assert.ok(answer.headers["x-coder-build-version"], "it was Coder that answered");
});

test("createCoderUser: what is there already, what is made, and the key at once", async () => {
  const { email, session, coder } = await signUp();
  const there = await coder.createCoderUser();
  assert.ok("created" in there && !there.created && there.user_id === session.user.id);

  await control("revoke", email);
  const made = await coder.createCoderUser();
  assert.ok("created" in made && made.created);
  const before = await refreshes(email);
  assert.equal((await coder.api.get("/api/v2/users/me")).data.id, made.coder_user_id);
  assert.equal(await refreshes(email), before); // the refresh was createCoderUser's own
});

test("an expired token is refreshed for coderhook, too", async () => {
  const { supabase, email, coder } = await signUp();
  await control("expired-token", email);
  await supabase.auth.refreshSession();
  assert.ok("created" in (await coder.createCoderUser()));
});

test("the address opens a session at the app's host", async () => {
  const { coder } = await signUp();
  const location = new URL(await coder.workspaceAppLocation(stack.app));
  const asked = new URL(stack.app);
  assert.equal(location.host, asked.host);
  assert.ok([...location.searchParams.keys()].some((name) => name.startsWith("coder_application_connect_api_key_")));
  assert.equal((await refusal(coder.workspaceAppLocation("https://evil.example.com/")))?.status, 400);
});

test("fetch: the same key, and the same refresh", async () => {
  const { email, coder } = await signUp();
  assert.equal((await (await coder.fetch("/api/v2/users/me")).json()).email, email);
  await control("revoke", email);
  const answer = await coder.fetch("/api/v2/users/me/keys/tokens", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token_name: "mine", lifetime: 3_600_000_000_000 }),
  });
  assert.equal(answer.status, 201);
  assert.equal(await refreshes(email), 1);
});

test("a key that stays out of the token is the gateway's, and no refresh changes that", async () => {
  const payload = Buffer.from(JSON.stringify({ app_metadata: { api_key_status: "ready" } })).toString("base64url");
  let refreshed = 0;
  const answer = { data: { session: { access_token: `e30.${payload}.x` } }, error: null };
  const auth = { getSession: async () => answer, refreshSession: async () => (refreshed++, answer) };
  const coder = connect({ auth }, { coder: stack.coder, hook: stack.hook });
  for (const work of [coder.api.get("/api/v2/users/me"), coder.fetch("/api/v2/users/me")]) {
    await assert.rejects(work, (error) => error instanceof NoKeyError && error.status === "ready" && /through its gateway/.test(error.message));
  }
  assert.equal(refreshed, 0);
});
