// Both example pages in a real browser, on another origin than the gateway's.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, afterEach, before, test } from "node:test";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { poison } from "./auth";
import { until } from "./http";
import { type Stack, start } from "./stack";
import { unfolded, watch } from "./watch";

const screenshots = process.env["SCREENSHOTS"] ?? "dist/screenshots";
const run = Date.now().toString(36); // e-mail addresses of this run alone
const socketPath = process.env["SOCKET_PATH"] ?? "/api/v2/workspacebuilds/b/logs?follow=true"; // one that every user may open
let browser: Browser;
let stack: Stack;
let problems: string[] = []; // what the pages complained of, as a failed hydration is
let seen: () => Promise<string>; // of the last page

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  stack = await start();
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});
after(async () => {
  await browser?.close();
  await stack?.close();
});
afterEach(() => {
  assert.deepEqual(stack.stub?.gateway.faults ?? [], []);
});

async function open(path: string, at = stack.page): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 900, height: 520 } });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  problems = [];
  seen = watch(page);
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  await page.goto(at + path);
  return page;
}

async function signUp(page: Page, name: string): Promise<string> {
  const email = `${name}-${run}@example.com`;
  await page.fill("[name=email]", email);
  await page.fill("[name=password]", "correct horse");
  await page.click("text=Sign up");
  await page.waitForSelector("main >> text=Workspaces"); // the list: the session is stored by then
  await stack.control("workspace", email);
  return email;
}

async function readLog(page: Page, email: string, third: string) {
  await page.click("text=Reload");
  await page.click("li >> text=dev");
  await page.waitForFunction(() => /one[^]*two/.test(document.getElementById("log")?.textContent ?? ""));
  await stack.control("line", email);
  await page.waitForFunction((third) => document.getElementById("log")!.textContent!.includes(third), third);
  assert.equal(await page.textContent("#state"), "live");
}

/** Holds that no key came to the browser. One in the token (a poisoned one) is nobody's but Supabase Auth's to leave out. */
async function wantNoKey(email: string) {
  const text = email.startsWith("poisoned") ? await seen() : unfolded(await seen());
  const keys = (await stack.control("keys", email)).split("\n");
  assert.ok(text.includes(email) && keys.length > 0); // it was looked at
  for (const key of keys) assert.ok(!text.includes(key.split("-").at(-1)!), "the key is in the browser");
}

for (const kind of ["plain", "poisoned"]) {
  test(`a page that is all in the browser (${kind} token)`, async () => {
    const page = await open("/app");
    const email = await signUp(page, `${kind}-app`);
    await readLog(page, email, "three");
    await page.screenshot({ path: `${screenshots}/workspaces.png` });
    assert.deepEqual(problems, []);
    await wantNoKey(email);
    await page.context().close();
  });

  test(`a page that a server renders (${kind} token)`, async () => {
    const page = await open("/");
    const email = await signUp(page, `${kind}-ssr`);
    const html = await source(page.context());
    assert.match(html, /<li><button>dev<\/button>/); // it came through the gateway, before any script
    assert.ok(!html.includes(poison) && !html.includes("eyJ"), "no key and no token in the page");
    await page.goto(stack.page);
    assert.match(await page.innerHTML("#root"), /dev/);
    await readLog(page, email, "three");
    await page.screenshot({ path: `${screenshots}/rendered.png` });
    assert.deepEqual(problems, []);
    await wantNoKey(email);
    await page.context().close();
  });
}

/** Gives the page as the server sends it, with the context's cookies. */
async function source(context: BrowserContext): Promise<string> {
  return (await context.request.get(stack.page)).text();
}

test("a page that is not among the origins opens no socket, though it has the session", async () => {
  for (const [at, result] of [[stack.page, "open"], [stack.otherPage, "closed"]] as const) {
    const page = await open("/app", at);
    await signUp(page, `origin-${result}`);
    assert.equal(await page.evaluate(dial, `${stack.gateway.replace("http", "ws")}${socketPath}`), result);
    await page.context().close();
  }
});

/** Opens a socket by hand, with the session that lies in the page's localStorage. */
function dial(url: string): Promise<string> {
  const session = Object.entries(localStorage).find(([name]) => name.startsWith("sb-"))![1];
  const token = btoa(JSON.parse(session).access_token).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
  const socket = new WebSocket(url, ["coderhook.v1", `base64url.bearer.authorization.coderhook.${token}`]);
  return new Promise((resolve) => {
    socket.onopen = () => resolve("open");
    socket.onclose = () => resolve("closed");
  });
}

test("what the server writes into the page is data", async (t) => {
  if (!stack.stub) return t.skip("the stand-in's");
  const page = await open("/");
  await signUp(page, "injected");
  const name = "</script><script src=/examples/page.js></script><img src=x>";
  stack.stub.gateway.state.workspace = name;
  t.after(() => (stack.stub!.gateway.state.workspace = "dev"));
  await page.goto(stack.page);
  assert.equal(await page.textContent("li button"), name);
  assert.equal(await page.locator("script[src]").count(), 1);
  assert.deepEqual(problems, []);
  await page.context().close();
});

test("the log goes on after a restart and after a refresh", async (t) => {
  if (!stack.stub) return t.skip("the stand-in's");
  const { auth, gateway } = stack.stub;
  const page = await open("/app");
  const email = await signUp(page, "restart");
  await readLog(page, email, "three");
  gateway.closeSockets(1012);
  await until("it is closed", () => gateway.sockets.size === 0);
  gateway.log("after the restart");
  await page.waitForSelector("text=after the restart");
  gateway.refused.add(auth.accounts.get(email)!.tokens.at(-1)!);
  gateway.closeSockets(1008);
  await until("it is closed", () => gateway.sockets.size === 0);
  gateway.log("after the refresh");
  await page.waitForSelector("text=after the refresh");
  assert.equal(await stack.control("refreshes", email), "1");
  gateway.closeSockets(1000);
  await page.waitForSelector("#state >> text=complete");
  await page.context().close();
});

test("a refused list is shown in the server's words", async (t) => {
  if (!stack.stub) return t.skip("the stand-in's");
  const page = await open("/app");
  await signUp(page, "refused");
  stack.stub.gateway.answers.push({ status: 409, message: "an operator has to look" });
  await page.click("text=Reload");
  await page.waitForSelector("[role=alert] >> text=an operator has to look");
  await page.context().close();
});

test("the server refreshes a refused session, and gives it to the browser in a cookie", async (t) => {
  if (!stack.stub) return t.skip("the stand-in's");
  const page = await open("/");
  const email = await signUp(page, "cookie");
  const account = stack.stub.auth.accounts.get(email)!;
  stack.stub.gateway.refused.add(account.tokens.at(-1)!);
  assert.match(await source(page.context()), /<li><button>dev<\/button>/);
  assert.equal(account.refreshes, 1);
  await page.goto(stack.page); // with the new session
  await page.click("text=Reload");
  assert.match(await page.innerHTML("#root"), /dev/);
  assert.equal(account.refreshes, 1);
  await page.context().close();
});

test("a server that can't ask the gateway leaves it to the browser", async (t) => {
  if (!stack.stub) return t.skip("the stand-in's");
  const page = await open("/");
  await signUp(page, "later");
  stack.stub.gateway.answers.push({ status: 202, headers: { "Retry-After": "1" } });
  assert.doesNotMatch(await source(page.context()), /dev/);
  stack.stub.gateway.answers.push({ status: 202, headers: { "Retry-After": "1" } }, { status: 202, headers: { "Retry-After": "1" } });
  await page.goto(stack.page); // the server's request, then the browser's
  await page.waitForSelector("li >> text=dev");
  await page.context().close();
});
