// WebSockets through the gateway: how they say who asks, and how they come back.

import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { createClient } from "@supabase/supabase-js";
import WebSocket from "ws";
import { connect, type GatewayClient, RefusedError, type WebSocketClass } from "../../src/coder";
import { startAuth } from "./auth";
import { startGateway } from "./gateway";
import { until } from "./http";

let auth: Awaited<ReturnType<typeof startAuth>>;
let gateway: Awaited<ReturnType<typeof startGateway>>;
let people = 0;

before(async () => {
  auth = await startAuth();
});
after(() => auth?.close());
afterEach(async () => {
  await gateway.close();
  assert.deepEqual(gateway.faults, []);
});

async function signUp(kind = "plain") {
  gateway = await startGateway(auth);
  const supabase = createClient(auth.url, "anon", {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: WebSocket as never },
  });
  const email = `${kind}-socket-${++people}@example.com`;
  const { error } = await supabase.auth.signUp({ email, password: "correct horse" });
  assert.equal(error, null);
  const at = { gateway: gateway.url, WebSocket: WebSocket as unknown as WebSocketClass };
  return { account: auth.accounts.get(email)!, coder: connect(supabase, at) };
}

const logs = "/api/v2/workspacebuilds/b/logs?follow=true";

/** Reads the log as a page would, from its last line on. */
function follow(coder: GatewayClient) {
  const stop = new AbortController();
  const seen: string[] = [];
  let last = -1;
  const read = async () => {
    for await (const text of coder.messages(() => `${logs}&after=${last}`, stop.signal)) {
      const line = JSON.parse(text);
      last = line.id;
      seen.push(line.output);
    }
  };
  const end = read();
  end.catch(() => {}); // whoever cares awaits it
  return { seen, end, stop: () => stop.abort() };
}

for (const kind of ["plain", "poisoned"]) {
  test(`a socket carries the session in its subprotocols (${kind} token)`, async () => {
    const { coder } = await signUp(kind);
    const socket = await coder.webSocket(logs);
    const first = await new Promise<string>((resolve) => (socket.onmessage = ({ data }) => resolve(data)));
    assert.equal(JSON.parse(first).output, "one");
    assert.equal(socket.protocol, "coderhook.v1");
    assert.equal(gateway.dialed[0]?.url, `/coder${logs}`);
    socket.close();
  });
}

for (const code of [1012, 1001, 1011, 4000]) {
  test(`${code}: it opens again, and no line is lost or doubled`, async () => {
    const { account, coder } = await signUp();
    const log = follow(coder);
    await until("both lines", () => log.seen.length === 2);
    gateway.closeSockets(code);
    await until("it is closed", () => gateway.sockets.size === 0);
    gateway.log("three");
    await until("the third line", () => log.seen.length === 3);
    assert.deepEqual(log.seen, ["one", "two", "three"]);
    assert.equal(account.refreshes, 0);
    log.stop();
    await log.end;
    await until("it is closed", () => gateway.sockets.size === 0);
  });
}

for (const code of [1008, 3000, 3003, 4401]) {
  test(`${code}: the session is refreshed, and it opens again`, async () => {
    const { account, coder } = await signUp();
    const log = follow(coder);
    await until("both lines", () => log.seen.length === 2);
    gateway.refused.add(account.tokens.at(-1)!);
    gateway.closeSockets(code, "the session has ended");
    await until("it is closed", () => gateway.sockets.size === 0);
    gateway.log("three");
    await until("the third line", () => log.seen.length === 3);
    assert.equal(account.refreshes, 1);
    log.stop();
    await log.end;
  });
}

test("an ended session is an error", async () => {
  const { account, coder } = await signUp();
  const log = follow(coder);
  await until("both lines", () => log.seen.length === 2);
  auth.end(account);
  gateway.closeSockets(1008, "the session has ended");
  await assert.rejects(log.end, /Invalid Refresh Token/);
});

test("a session that is refused after its refresh is an error", async () => {
  const { account, coder } = await signUp();
  const log = follow(coder);
  await until("both lines", () => log.seen.length === 2);
  gateway.log = () => {};
  gateway.closeSockets(1008, "banned");
  // The socket opens again and tells nothing before it is closed.
  await until("it opens again", () => gateway.dialed.length === 2 && gateway.sockets.size === 1);
  gateway.closeSockets(1008, "banned");
  await assert.rejects(log.end, (error) => error instanceof RefusedError && /banned/.test(error.message));
  assert.equal(account.refreshes, 1);
});

test("Coder's own end is the end", async () => {
  const { coder } = await signUp();
  const log = follow(coder);
  await until("both lines", () => log.seen.length === 2);
  gateway.closeSockets(1000);
  await log.end;
  assert.deepEqual(log.seen, ["one", "two"]);
});

test("a token that is refused at the opening is refreshed", async () => {
  const { account, coder } = await signUp();
  gateway.refused.add(account.tokens.at(-1)!);
  const log = follow(coder);
  await until("both lines", () => log.seen.length === 2);
  assert.equal(account.refreshes, 1);
  log.stop();
  await log.end;
});

test("an opening that fails for a while is tried again", async () => {
  const { coder } = await signUp();
  gateway.answers.push({ status: 503 }, { status: 503, headers: { "Retry-After": "1" } }, { status: 202 }, { status: 202, headers: { "Retry-After": "1" } });
  const log = follow(coder);
  await until("both lines", () => log.seen.length === 2);
  log.stop();
  await log.end;
});

for (const status of [403, 404, 409]) {
  test(`${status} is not tried again, and says why`, async () => {
    const { coder } = await signUp();
    gateway.answers.push({ status }, { status, message: "by a rule" });
    const log = follow(coder);
    await assert.rejects(log.end, (error) => error instanceof RefusedError && error.status === status && /by a rule/.test(error.message));
    assert.equal(gateway.dialed.length, 1);
  });
}

test("who stops listening closes the socket, also while it waits", async () => {
  const { coder } = await signUp();
  for await (const text of coder.messages(logs)) {
    assert.ok(text);
    break;
  }
  await until("it is closed", () => gateway.sockets.size === 0);
  gateway.answers.push({ status: 503 }, { status: 503, headers: { "Retry-After": "60" } });
  const log = follow(coder);
  await until("it was asked why", () => gateway.received.length > 0);
  log.stop();
  await log.end;
});
