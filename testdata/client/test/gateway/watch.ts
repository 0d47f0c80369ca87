// What a page's browser gets to see, for tests that look for what it must not hold.

import type { BrowserContext, Page } from "playwright-core";

/** Everything that comes to the page and goes from it, from now on. */
export function watch(page: Page): () => Promise<string> {
  const seen: string[] = [];
  const reading: Promise<unknown>[] = [];
  const keep = (text: Promise<string>) => reading.push(text.then((text) => seen.push(text), () => {})); // some have no body
  page.on("request", (request) => {
    seen.push(request.url(), request.postData() ?? "");
    keep(request.allHeaders().then((headers) => JSON.stringify(headers)));
  });
  page.on("response", (response) => {
    keep(response.allHeaders().then((headers) => JSON.stringify(headers)));
    keep(response.text());
  });
  page.on("websocket", (socket) => {
    seen.push(socket.url());
    socket.on("framesent", ({ payload }) => seen.push(payload.toString()));
    socket.on("framereceived", ({ payload }) => seen.push(payload.toString()));
  });
  page.on("console", (message) => seen.push(message.text()));
  return async () => {
    seen.push(await page.content(), await stored(page.context(), page));
    await Promise.all(reading);
    return seen.join("\n");
  };
}

async function stored(context: BrowserContext, page: Page): Promise<string> {
  const session = await page.evaluate(() => JSON.stringify({ ...sessionStorage }));
  return session + JSON.stringify(await context.storageState({ indexedDB: true }));
}

/** The text, and what is encoded in it: tokens, and sessions in cookies. */
export function unfolded(text: string, depth = 3): string {
  const inside = (text.match(/[A-Za-z0-9_-]{24,}/g) ?? []).map((part) => Buffer.from(part, "base64url").toString());
  return depth === 0 || inside.length === 0 ? text : `${text}\n${unfolded(inside.join("\n"), depth - 1)}`;
}
