// The client in a real browser, on a page of another origin than the server's.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, before, test } from "node:test";
import { type Browser, chromium, type Page } from "playwright-core";
import { control, refreshes, stack } from "./stack";

const screenshots = process.env["SCREENSHOTS"] ?? "dist/screenshots";
let browser: Browser;

before(async () => {
  mkdirSync(screenshots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
});
after(() => browser?.close());

async function open(email: string, at = stack.page): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 900, height: 520 } });
  context.setDefaultTimeout(15_000);
  const page = await context.newPage();
  const settings = new URLSearchParams({ auth: stack.auth, hook: stack.hook, app: stack.app, email });
  await page.goto(`${at}/?${settings}`);
  return page;
}

async function click(page: Page, id: string): Promise<string> {
  await page.click(`#${id}`);
  await page.waitForFunction(() => !["", "…"].includes(document.getElementById("out")!.textContent!));
  return page.textContent("#out").then((text) => text!);
}

test("sign-up, Coder's API, a lost key, and the way into a workspace app", async () => {
  const email = "browser@example.com";
  const page = await open(email);
  assert.equal(await click(page, "sign-up"), "signed up");
  assert.match(await click(page, "me"), /^You are [0-9a-f]{8} \(browser@example\.com\) in Coder\.$/);
  assert.equal(await refreshes(email), 0);

  await control("revoke", email);
  assert.match(await click(page, "me"), /^You are /);
  assert.equal(await refreshes(email), 1);
  assert.match(await click(page, "create"), /"created": false/);
  await page.screenshot({ path: `${screenshots}/page.png` });

  const opened = page.context().waitForEvent("page");
  assert.equal(await click(page, "open"), "opened");
  const app = await opened;
  await app.waitForURL(stack.app); // without the key: the app's host took it out
  await app.waitForSelector("text=You are signed in to this workspace app.");
  assert.equal(await app.evaluate(() => document.referrer), `${stack.page}/`); // the origin, and not what is in addresses
  assert.equal(await app.evaluate(() => window.opener), null);
  const cookies = await app.context().cookies(stack.app);
  assert.ok(cookies.some((cookie) => cookie.name.startsWith("coder_subdomain_app_session_token_")));
  await app.screenshot({ path: `${screenshots}/app.png` });
});

test("an app that is none opens no tab", async () => {
  const page = await open("browser-refused@example.com");
  await click(page, "sign-up");
  await page.evaluate((hook) => history.replaceState(null, "", location.search.replace(/app=[^&]*/, `app=${encodeURIComponent(hook)}`)), stack.hook);
  await page.reload();
  assert.match(await click(page, "open"), /failed: .*400.*redirect_uri is not the address of a workspace app/);
  assert.equal(page.context().pages().length, 1);
});

test("a page that is not among the origins gets nothing", async () => {
  const page = await open("browser-stranger@example.com", stack.otherPage);
  assert.equal(await click(page, "sign-up"), "signed up");
  assert.match(await click(page, "create"), /^failed: Network Error/);
  assert.match(await click(page, "open"), /^failed: Network Error/);
  for (const [method, path] of [["POST", "/create-coder-user"], ["GET", "/applications/auth-redirect"]] as const) {
    const answer = await page.evaluate(
      ([url, method]) => fetch(url!, { method: method! }).then(() => "read it", (error) => error.name), // simple: no preflight
      [stack.hook + path, method],
    );
    assert.equal(answer, "TypeError");
  }
});

test("no page can call the hook", async () => {
  const page = await open("browser-hook@example.com");
  const answer = await page.evaluate(
    (url) => fetch(url, { method: "POST", headers: { "webhook-id": "x" }, body: "{}" }).then(() => "read it", (error) => error.name),
    `${stack.hook}/hooks/custom-access-token`,
  );
  assert.equal(answer, "TypeError");
});
