// A server for both pages: / is rendered here with the session of the cookies, /app only in the browser.

import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { createServerClient, parseCookieHeader, serializeCookieHeader } from "@supabase/ssr";
import { renderToString } from "react-dom/server";
import WebSocket from "ws";
import { connect } from "coderhook-client";
import type { Settings } from "./settings";
import { type Rendered, View } from "./view";
import { workspaces } from "./workspaces";

/** Starts the server. `scripts` is the folder with page.js and hydrate.js. Gives its address, and how to end it. */
export async function serve(settings: Settings, scripts: string, port = 0) {
  const server = createServer((request, response) => {
    answer(settings, scripts, request, response).catch((error: unknown) => {
      console.error(error instanceof Error ? error.message : "failed"); // not the whole error: an axios error holds the token
      if (!response.headersSent) response.writeHead(500);
      response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const close = () => new Promise((resolve) => {
    server.close(resolve);
    server.closeAllConnections();
  });
  return { url: `http://localhost:${(server.address() as AddressInfo).port}`, close };
}

async function answer(settings: Settings, scripts: string, request: IncomingMessage, response: ServerResponse) {
  switch (request.url?.split("?")[0]) {
    case "/":
      return send(response, settings, await render(settings, request, response));
    case "/app":
      return send(response, settings, { root: "", script: "/examples/page.js" });
    case "/examples/page.js":
    case "/examples/hydrate.js":
      response.setHeader("Content-Type", "text/javascript");
      return response.end(await readFile(scripts + request.url!.split("?")[0]!.replace("/examples", "")));
    default:
      response.writeHead(404).end();
  }
}

/** Reads the session from the cookies, and the list through the gateway. A session that was refreshed is set again. */
async function render(settings: Settings, request: IncomingMessage, response: ServerResponse): Promise<Page> {
  const supabase = createServerClient(settings.supabase, settings.anonKey, {
    cookies: {
      getAll: () => parseCookieHeader(request.headers.cookie ?? "").map(({ name, value }) => ({ name, value: value ?? "" })),
      setAll: (cookies) => {
        for (const { name, value, options } of cookies) response.appendHeader("Set-Cookie", serializeCookieHeader(name, value, options));
      },
    },
    realtime: { transport: WebSocket as never }, // Node 20 has none of its own
  });
  const { data } = await supabase.auth.getSession(); // not verified here: the gateway does that
  const rendered: Rendered = { signedIn: data.session !== null, list: undefined };
  if (rendered.signedIn) {
    const coder = connect(supabase, { gateway: settings.gateway, patience: 0 });
    rendered.list = await workspaces(coder).catch(() => undefined); // the browser tries again, and shows why
  }
  return { root: renderToString(<View {...rendered} />), script: "/examples/hydrate.js", rendered };
}

interface Page {
  root: string;
  script: string;
  rendered?: Rendered;
}

function send(response: ServerResponse, settings: Settings, page: Page) {
  const origins = [settings.supabase, settings.gateway].map((url) => new URL(url).origin);
  const sources = [...origins, origins[1]!.replace(/^http/, "ws")].join(" ");
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.setHeader("Cache-Control", "private, no-store"); // it may set a session
  response.setHeader("Content-Security-Policy", `default-src 'none'; img-src data:; script-src 'self'; style-src 'self'; connect-src 'self' ${sources}`);
  response.end(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<link rel="icon" href="data:,">
<title>A product with workspaces</title>
<div id="root">${page.root}</div>
${embed("settings", settings)}
${page.rendered ? embed("rendered", page.rendered) : ""}
<script src="${page.script}"></script>
</html>`);
}

/** Writes data for the page's script. Nothing in it can end the element. */
function embed(id: string, data: unknown): string {
  return `<script type="application/json" id="${id}">${JSON.stringify(data).replaceAll("<", "\\u003c")}</script>`;
}
